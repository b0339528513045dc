#include "int_blocks.h"

#include "kernels.h"

#include <algorithm>
#include <array>

namespace sluice::series {
namespace {

/// In a block's width byte: values are zig-zag around the base, and some have high bits apart.
constexpr unsigned kHasExceptions = 0x80;

/// An outlier takes two bytes and more, a bit of width 16: past one in eight, leaving out cannot
/// pay.
constexpr std::size_t kValuesPerOutlier = 8;

/// The median of up to nine values spread over the block: outliers do not move it.
std::uint64_t typical(std::span<const std::uint64_t> block) {
  std::array<std::int64_t, 9> picked{};
  const std::size_t count = std::min(picked.size(), block.size());
  for (std::size_t i = 0; i < count; ++i) {
    picked[i] = static_cast<std::int64_t>(block[i * block.size() / count]);
  }
  const auto middle = picked.begin() + static_cast<std::ptrdiff_t>(count / 2);
  std::nth_element(picked.begin(), middle, picked.begin() + static_cast<std::ptrdiff_t>(count));
  return static_cast<std::uint64_t>(*middle);
}

/// Whether leaving a few outliers out makes the block smaller, and how.
struct Patch {
  std::uint64_t centre = 0;
  unsigned width = 64;
  std::size_t bits = SIZE_MAX;
};

Patch find_patch(std::span<const std::uint64_t> block, unsigned plain_width,
                 std::span<std::uint64_t> zigzags) {
  Patch best;
  best.centre = typical(block);
  kernels().centre(block.data(), block.size(), best.centre, zigzags.data());
  std::uint64_t all = 0;
  for (const std::uint64_t value : zigzags) all |= value;
  const unsigned most = width_of(all);
  for (unsigned width = std::min(most, plain_width); width-- > 0;) {
    const std::size_t outliers = kernels().count_wider(zigzags.data(), zigzags.size(), width);
    if (outliers > block.size() / kValuesPerOutlier) break;
    const std::size_t each = 8 + 8 * ((most - width + 6) / 7);
    const std::size_t bits = block.size() * width + 8 + outliers * each;
    if (bits < best.bits) {
      best.width = width;
      best.bits = bits;
    }
  }
  return best;
}

void put_patched(std::span<const std::uint64_t> zigzags, unsigned width, Bytes& out) {
  std::byte* const packed = grow(out, packed_size(zigzags.size(), width));
  kernels().pack(zigzags.data(), zigzags.size(), 0, width, packed);
  const std::size_t count_at = out.size();
  put_byte(out, 0);
  unsigned count = 0;
  for (std::size_t i = 0; i < zigzags.size(); ++i) {
    const std::uint64_t high = zigzags[i] >> width;
    if (high == 0) continue;
    put_byte(out, static_cast<unsigned>(i));
    put_varint(out, high);
    ++count;
  }
  out[count_at] = static_cast<std::byte>(count);
}

}  // namespace

void put_blocks(std::span<const std::uint64_t> values, Bytes& out) {
  std::uint64_t last_base = 0;
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const auto block = values.subspan(begin, std::min(kBlock, values.size() - begin));
    const auto [least, most] = kernels().extremes(block.data(), block.size());
    const unsigned width = width_of(most - least);
    std::array<std::uint64_t, kBlock> zigzags;
    Patch patch;
    if (width > 0) patch = find_patch(block, width, std::span(zigzags).first(block.size()));
    if (patch.bits < block.size() * width) {
      put_byte(out, patch.width | kHasExceptions);
      put_zigzag(out, patch.centre - last_base);
      last_base = patch.centre;
      put_patched(std::span(zigzags).first(block.size()), patch.width, out);
      continue;
    }
    put_byte(out, width);
    put_zigzag(out, least - last_base);
    last_base = least;
    std::byte* const packed = grow(out, packed_size(block.size(), width));
    kernels().pack(block.data(), block.size(), least, width, packed);
  }
}

void get_blocks(Cursor& cursor, std::span<std::uint64_t> out) {
  std::uint64_t base = 0;
  for (std::size_t begin = 0; begin < out.size(); begin += kBlock) {
    const auto block = out.subspan(begin, std::min(kBlock, out.size() - begin));
    const unsigned head = cursor.byte();
    const bool has_exceptions = (head & kHasExceptions) != 0;
    const unsigned width = head & ~kHasExceptions;
    if (width > (has_exceptions ? 63U : 64U)) cursor.fail();
    base += cursor.zigzag();
    const auto packed = cursor.take(packed_size(block.size(), width));
    if (cursor.has_failed()) return;
    kernels().unpack(packed.data(), block.size(), has_exceptions ? 0 : base, width, block.data());
    if (!has_exceptions) continue;
    for (unsigned left = cursor.byte(); left > 0; --left) {
      const unsigned at = cursor.byte();
      const std::uint64_t high = cursor.varint();
      if (at >= block.size() || cursor.has_failed()) return cursor.fail();
      block[at] |= high << width;
    }
    for (std::uint64_t& value : block) value = unzigzag(value) + base;
  }
}

}  // namespace sluice::series
