#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::ingest {

/// Remarks as bits: 1 << telemetry.v1.Quality. The highest number that has a bit is 31.
using QualityBits = std::uint32_t;

enum class ReadingType : std::uint8_t { kNone, kDouble, kInt64, kBool, kString, kBytes };

/// A telemetry.v1.Reading. kNone is what another writer left without a value.
struct ValidReading {
  std::string_view metric{};
  std::string_view unit{};
  ReadingType type = ReadingType::kNone;
  QualityBits quality = 0;
  double number = 0;         // kDouble, bit for bit
  std::int64_t integer = 0;  // kInt64; kBool as 0 and 1
  std::string_view text{};   // kString, kBytes
};

/// A telemetry.v1.ValidMessage without its readings. Views as in RawMessageView.
struct ValidFields {
  std::string_view message_id{};
  std::string_view tenant{};
  std::string_view device{};
  std::string_view fleet{};
  std::string_view device_type{};
  std::string_view region{};
  std::uint32_t channel = 0;
  std::string_view stream{};
  std::uint32_t protocol = 0;
  std::string_view schema_id{};
  std::string_view schema_version{};
  std::int64_t event_time_ms = 0;
  std::int64_t received_at_ms = 0;
  std::optional<std::int64_t> device_time_ms{};
  std::optional<std::uint64_t> sequence{};
  bool buffered = false;
  QualityBits quality = 0;
  std::string_view traceparent{};
  std::uint32_t part = 0;
};

/// Appends the serialized ValidMessage to `out`: at most one allocation, none where there is room
/// for the most that such a message may take. Texts must be valid UTF-8.
void write_valid_message(const ValidFields& fields, std::span<const ValidReading> readings,
                         std::string& out);

/// A serialized ValidMessage that was found to be one, as views into its bytes.
///
///   SLUICE_TRY_ASSIGN(const ValidMessageView message, read_valid_message(record.value));
///   for (const ValidReading& reading : message.readings()) …
class ValidMessageView {
 public:
  /// Goes over the readings in their order, decoding each as it comes by.
  class Iterator {
   public:
    using value_type = ValidReading;
    using difference_type = std::ptrdiff_t;

    Iterator() = default;
    const ValidReading& operator*() const { return reading_; }
    const ValidReading* operator->() const { return &reading_; }
    Iterator& operator++() {
      advance();
      return *this;
    }
    void operator++(int) { advance(); }
    bool operator==(const Iterator& other) const { return left_ == other.left_; }

   private:
    friend class ValidMessageView;
    Iterator(const char* at, const char* end, std::size_t left) : at_(at), end_(end), left_(left) {
      if (left_ > 0) load();
    }
    void advance() {
      if (--left_ > 0) load();
    }
    void load();

    const char* at_ = nullptr;
    const char* end_ = nullptr;
    std::size_t left_ = 0;  // readings from this one on
    ValidReading reading_{};
  };
  class Readings {
   public:
    explicit Readings(const ValidMessageView& view) : view_(&view) {}
    Iterator begin() const {
      return {view_->readings_at_, view_->bytes_.data() + view_->bytes_.size(),
              view_->reading_count_};
    }
    Iterator end() const { return {}; }
    std::size_t size() const { return view_->reading_count_; }
    bool empty() const { return view_->reading_count_ == 0; }

   private:
    const ValidMessageView* view_;
  };

  const ValidFields& fields() const { return fields_; }
  /// As long as this view lives.
  Readings readings() const { return Readings(*this); }
  std::size_t reading_count() const { return reading_count_; }

 private:
  friend Result<ValidMessageView> read_valid_message(std::string_view bytes);

  ValidFields fields_{};
  std::string_view bytes_{};
  const char* readings_at_ = nullptr;  // the first one's tag
  std::size_t reading_count_ = 0;
};

/// Checks all of a serialized ValidMessage, its readings too, and gives the view of it. Unknown
/// fields are skipped; remarks beyond bit 31 are left out. kDataLoss where the bytes are no
/// message.
Result<ValidMessageView> read_valid_message(std::string_view bytes);

}  // namespace sluice::ingest
