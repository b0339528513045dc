#include "xor_stream.h"

#include <algorithm>
#include <bit>

namespace sluice::series {
namespace {

/// The bits that may differ: between so many leading and trailing zeros. Until there is one, no
/// value fits, since 64 leading zeros are more than any difference has.
struct Window {
  unsigned leading = 64;
  unsigned trailing = 0;

  bool holds(unsigned other_leading, unsigned other_trailing) const {
    return other_leading >= leading && other_trailing >= trailing;
  }
  unsigned length() const { return 64 - leading - trailing; }
};

/// load64() and put_fixed64() are little-endian on every machine.
std::uint64_t big_endian(std::uint64_t word) { return std::byteswap(word); }

/// The paper's five bits for the leading zeros.
unsigned leading_zeros(std::uint64_t bits) {
  return std::min(31U, static_cast<unsigned>(std::countl_zero(bits)));
}

/// Calls `put(bits, count)` for every group of at most 64 bits.
template <typename Put>
void each_group(std::span<const std::uint64_t> values, Put put) {
  put(values[0], 64U);
  Window window;
  for (std::size_t i = 1; i < values.size(); ++i) {
    const std::uint64_t difference = values[i] ^ values[i - 1];
    if (difference == 0) {
      put(std::uint64_t{0}, 1U);
      continue;
    }
    const unsigned leading = leading_zeros(difference);
    const auto trailing = static_cast<unsigned>(std::countr_zero(difference));
    if (window.leading < 64 && window.holds(leading, trailing)) {
      put(std::uint64_t{0b10}, 2U);
    } else {
      window = {leading, trailing};
      // 64 significant bits are written as 0, which no window has.
      put(std::uint64_t{0b11} << 11 | std::uint64_t{leading} << 6 | (window.length() & 63), 13U);
    }
    put(difference >> window.trailing, window.length());
  }
}

class BitReader {
 public:
  explicit BitReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::size_t left() const { return bytes_.size() * 8 - at_; }

  /// Of 1 to 64 bits; the caller has looked that they are there.
  std::uint64_t take(unsigned count) {
    std::uint64_t value = 0;
    if (const std::size_t first = at_ / 8; bytes_.size() - first >= 9) {
      const auto offset = static_cast<unsigned>(at_ % 8);
      const std::uint64_t word = big_endian(load64(bytes_.data() + first)) << offset;
      // The low bits of the word are not those of the ninth byte yet.
      const auto next = std::to_integer<std::uint64_t>(bytes_[first + 8]);
      at_ += count;
      return (word | next >> (8 - offset)) >> (64 - count);
    }
    while (count > 0) {
      const auto byte = std::to_integer<unsigned>(bytes_[at_ / 8]);
      const auto offset = static_cast<unsigned>(at_ % 8);
      const unsigned taken = std::min(8 - offset, count);
      value = value << taken | (byte >> (8 - offset - taken) & ((1U << taken) - 1));
      at_ += taken;
      count -= taken;
    }
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

/// The next difference, or nothing when the bits are not there.
bool read_difference(BitReader& bits, Window& window, std::uint64_t& difference) {
  difference = 0;
  if (bits.left() < 1) return false;
  if (bits.take(1) == 0) return true;
  if (bits.left() < 1) return false;
  if (bits.take(1) != 0) {
    if (bits.left() < 11) return false;
    const auto leading = static_cast<unsigned>(bits.take(5));
    const auto written = static_cast<unsigned>(bits.take(6));
    const unsigned length = written == 0 ? 64 : written;
    if (leading + length > 64) return false;
    window = {leading, 64 - leading - length};
  }
  if (window.leading >= 64 || bits.left() < window.length()) return false;
  difference = bits.take(window.length()) << window.trailing;
  return true;
}

}  // namespace

std::size_t xor_size(std::span<const std::uint64_t> values) {
  std::size_t bits = 0;
  each_group(values, [&](std::uint64_t, unsigned count) { bits += count; });
  return (bits + 7) / 8;
}

void encode_xor(std::span<const std::uint64_t> values, Bytes& out) {
  std::uint64_t pending = 0;  // its highest bits come first
  unsigned used = 0;
  const auto flush = [&](std::uint64_t word) { put_fixed64(out, big_endian(word)); };
  each_group(values, [&](std::uint64_t bits, unsigned count) {
    const unsigned room = 64 - used;
    if (count < room) {
      pending |= bits << (room - count);
      used += count;
      return;
    }
    flush(pending | bits >> (count - room));
    used = count - room;
    pending = used == 0 ? 0 : bits << (64 - used);
  });
  for (; used > 0; used -= std::min(used, 8U), pending <<= 8) {
    put_byte(out, static_cast<unsigned>(pending >> 56));
  }
}

void decode_xor(Cursor& cursor, std::span<std::uint64_t> out) {
  BitReader bits(cursor.take(cursor.left()));
  if (bits.left() < 64) return cursor.fail();
  out[0] = bits.take(64);
  Window window;
  for (std::size_t i = 1; i < out.size(); ++i) {
    std::uint64_t difference = 0;
    if (!read_difference(bits, window, difference)) return cursor.fail();
    out[i] = out[i - 1] ^ difference;
  }
  if (bits.left() >= 8) cursor.fail();
}

}  // namespace sluice::series
