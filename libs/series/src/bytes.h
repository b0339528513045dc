#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::series {

using Bytes = std::vector<std::byte>;

/// 7 bits a byte, lowest first, as protobuf does it; at most 10 bytes.
inline void put_varint(Bytes& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<std::byte>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<std::byte>(value));
}

inline std::size_t varint_size(std::uint64_t value) {
  return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}

/// Small magnitudes of both signs to small numbers: 0, -1, 1, -2, ...
inline std::uint64_t zigzag(std::uint64_t value) { return (value << 1) ^ (0 - (value >> 63)); }
inline std::uint64_t unzigzag(std::uint64_t value) { return (value >> 1) ^ (0 - (value & 1)); }

inline void put_zigzag(Bytes& out, std::uint64_t value) { put_varint(out, zigzag(value)); }

inline void put_byte(Bytes& out, unsigned value) { out.push_back(static_cast<std::byte>(value)); }

/// Little-endian on every machine.
inline std::uint64_t load64(const std::byte* from) {
  std::uint64_t value = 0;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::endian::native == std::endian::big) value = std::byteswap(value);
  return value;
}

inline void put_fixed64(Bytes& out, std::uint64_t value) {
  for (unsigned shift = 0; shift < 64; shift += 8) put_byte(out, (value >> shift) & 0xff);
}

inline void put_bytes(Bytes& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

inline void put_text(Bytes& out, std::string_view text) {
  put_bytes(out, std::as_bytes(std::span(text)));
}

/// Room for `size` more bytes, zeroed; the pointer is good until `out` changes.
inline std::byte* grow(Bytes& out, std::size_t size) {
  const std::size_t before = out.size();
  out.resize(before + size);
  return out.data() + before;
}

/// Takes bytes off the front. After the first thing that is not there it has failed for good and
/// gives zeros, so that a parser may look once, at the end of a group of reads, instead of after
/// each.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : rest_(bytes) {}

  bool has_failed() const { return has_failed_; }
  void fail() {
    has_failed_ = true;
    rest_ = {};
  }
  std::size_t left() const { return rest_.size(); }

  unsigned byte() {
    if (rest_.empty()) {
      fail();
      return 0;
    }
    const auto value = std::to_integer<unsigned>(rest_.front());
    rest_ = rest_.subspan(1);
    return value;
  }

  /// Refuses what is longer than it need be: one number has one spelling.
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const unsigned next = byte();
      if (has_failed_) return 0;
      if ((shift == 63 && next > 1) || (shift > 0 && next == 0)) break;
      value |= std::uint64_t{next & 0x7f} << shift;
      if (next < 0x80) return value;
    }
    fail();
    return 0;
  }
  std::uint64_t zigzag() { return unzigzag(varint()); }

  std::uint64_t fixed64() {
    const auto bytes = take(8);
    return bytes.empty() ? 0 : load64(bytes.data());
  }

  /// Empty, and failed, when there is less.
  std::span<const std::byte> take(std::uint64_t size) {
    if (size > rest_.size()) {
      fail();
      return {};
    }
    const auto taken = rest_.first(static_cast<std::size_t>(size));
    rest_ = rest_.subspan(static_cast<std::size_t>(size));
    return taken;
  }

 private:
  std::span<const std::byte> rest_;
  bool has_failed_ = false;
};

}  // namespace sluice::series
