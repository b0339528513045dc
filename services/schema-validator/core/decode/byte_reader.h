#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace sluice::validator {

/// Takes values off the front of a payload. Each call says by false that the payload is too short,
/// and then takes nothing.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : begin_(bytes.data()), rest_(bytes) {}

  bool at_end() const { return rest_.empty(); }
  std::size_t left() const { return rest_.size(); }
  /// How many bytes were taken: where a fault is.
  std::size_t position() const { return static_cast<std::size_t>(rest_.data() - begin_); }
  std::span<const std::byte> rest() const { return rest_; }

  [[nodiscard]] bool peek(std::uint8_t& value) const {
    if (rest_.empty()) return false;
    value = std::to_integer<std::uint8_t>(rest_.front());
    return true;
  }
  [[nodiscard]] bool take_byte(std::uint8_t& value) {
    if (!peek(value)) return false;
    rest_ = rest_.subspan(1);
    return true;
  }
  /// An unsigned number, the most significant byte first.
  template <std::unsigned_integral T>
  [[nodiscard]] bool take_big_endian(T& value) {
    if (!copy(value)) return false;
    if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
    return true;
  }
  template <std::unsigned_integral T>
  [[nodiscard]] bool take_little_endian(T& value) {
    if (!copy(value)) return false;
    if constexpr (std::endian::native == std::endian::big) value = std::byteswap(value);
    return true;
  }
  [[nodiscard]] bool take_bytes(std::uint64_t size, std::span<const std::byte>& value) {
    if (size > rest_.size()) return false;
    value = rest_.first(static_cast<std::size_t>(size));
    rest_ = rest_.subspan(static_cast<std::size_t>(size));
    return true;
  }
  [[nodiscard]] bool take_text(std::uint64_t size, std::string_view& value) {
    std::span<const std::byte> bytes;
    if (!take_bytes(size, bytes)) return false;
    value = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    return true;
  }
  /// A number of 7 bits a byte, the least significant first, in at most ten bytes; false as well
  /// where it does not fit into 64 bits.
  [[nodiscard]] bool take_varint(std::uint64_t& value) {
    std::uint64_t result = 0;
    for (std::size_t i = 0; i < 10 && i < rest_.size(); ++i) {
      const auto byte = std::to_integer<std::uint64_t>(rest_[i]);
      if (i == 9 && byte > 1) return false;
      result |= (byte & 0x7F) << (7 * i);
      if ((byte & 0x80) != 0) continue;
      value = result;
      rest_ = rest_.subspan(i + 1);
      return true;
    }
    return false;
  }

 private:
  template <typename T>
  bool copy(T& value) {
    if (rest_.size() < sizeof(T)) return false;
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_ = rest_.subspan(sizeof(T));
    return true;
  }

  const std::byte* begin_;
  std::span<const std::byte> rest_;
};

/// 0, -1, 1, -2, … as Avro and Protobuf number them.
constexpr std::int64_t from_zigzag(std::uint64_t value) {
  return static_cast<std::int64_t>((value >> 1U) ^ (~(value & 1U) + 1U));
}

}  // namespace sluice::validator
