#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <sluice/base/error.h>
#include <sluice/mqtt/protocol.h>

/// How the binary records of stored_message.h and stored_subscription.h are written and read.
namespace sluice::front {

class RecordWriter {
 public:
  void byte(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void varint(std::uint64_t value);
  void text(std::string_view value);
  std::string take() { return std::move(out_); }
  void reserve(std::size_t size) { out_.reserve(size); }

 private:
  std::string out_;
};

/// Reads zeros and empty texts past the end, and remembers that it did.
class RecordReader {
 public:
  explicit RecordReader(std::string_view record) : rest_(record) {}

  std::uint8_t byte() {
    if (rest_.empty()) return spoil(), std::uint8_t{0};
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::uint64_t varint();
  std::string_view text();
  std::size_t left() const { return rest_.size(); }
  bool is_good() const { return is_good_; }

 private:
  void spoil() {
    is_good_ = false;
    rest_ = {};
  }

  std::string_view rest_;
  bool is_good_ = true;
};

/// The QoS in the lowest two bits of a record's flags.
inline constexpr std::uint8_t kStoredQosMask = 0x03;
std::optional<mqtt::Qos> to_qos(std::uint8_t bits);

/// `what` is what the record should have been.
Error damaged_record(std::string_view what);

}  // namespace sluice::front
