#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include <sluice/mqtt/decoder.h>
#include <sluice/mqtt/encoder.h>

namespace sluice::mqtt {

inline constexpr std::uint32_t kAnySize = kMaxRemainingLength + 5;

/// Bytes written as numbers, and as text where they are text.
class Raw {
 public:
  Raw& bytes(std::initializer_list<unsigned> values) {
    for (const unsigned value : values) out_.push_back(static_cast<std::byte>(value));
    return *this;
  }
  Raw& text(std::string_view text) {
    bytes({static_cast<unsigned>(text.size() >> 8), static_cast<unsigned>(text.size() & 0xFF)});
    return plain(text);
  }
  Raw& plain(std::string_view text) {
    for (const char c : text) out_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  const Output& get() const { return out_; }

 private:
  Output out_;
};

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace sluice::mqtt
