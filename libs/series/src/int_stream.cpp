#include "int_stream.h"

#include "int_blocks.h"
#include "kernels.h"

#include <algorithm>
#include <array>
#include <bit>

namespace sluice::series {
namespace {

// The first byte: a transform in bits 0 and 1, a layout in bits 2 and 3.
enum class Transform : unsigned { kPlain = 0, kDelta = 1, kDelta2 = 2, kLinear = 3 };
enum class Layout : unsigned { kConstant = 0, kPacked = 1, kSparse = 2 };
constexpr unsigned kLayoutShift = 2;

/// How many values stand at the front as they are.
std::size_t head_count(Transform transform) {
  return transform == Transform::kDelta ? 1 : transform == Transform::kDelta2 ? 2 : 0;
}

struct Plan {
  Transform transform = Transform::kPlain;
  bool is_sparse = false;
  std::uint64_t slope = 0;
};

/// The slope of the line from the first value to the last, or 0 where that is not a sensible one.
std::uint64_t slope_of(std::span<const std::uint64_t> values) {
  if (values.size() < 3) return 0;
  const auto steps = static_cast<std::int64_t>(values.size() - 1);
  std::int64_t rise = 0;
  if (__builtin_sub_overflow(static_cast<std::int64_t>(values.back()),
                             static_cast<std::int64_t>(values.front()), &rise)) {
    return 0;
  }
  // To the nearest: a period of 10,000 ms of which one was 9,999 is one of 10,000.
  const std::int64_t half = rise < 0 ? -(steps / 2) : steps / 2;
  if (__builtin_add_overflow(rise, half, &rise)) return 0;
  return static_cast<std::uint64_t>(rise / steps);
}

/// The transform that needs the fewest bits, from the range of every block under each of them.
Plan make_plan(std::span<const std::uint64_t> values) {
  Plan plan{.slope = slope_of(values)};
  std::array<std::size_t, 4> bits{};
  std::size_t sparse_bits = values.size();
  std::size_t patched_bits = 0;
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const std::size_t end = std::min(begin + kBlock, values.size());
    const BlockRanges ranges = kernels().ranges(values.data(), begin, end, plan.slope);
    bits[0] += (end - begin) * width_of(ranges.plain);
    bits[1] += (end - begin) * width_of(ranges.delta);
    bits[2] += (end - begin) * width_of(ranges.delta2);
    bits[3] += (end - begin) * width_of(ranges.linear);
    const std::size_t changed = end - begin - ranges.unchanged;
    sparse_bits += changed * width_of(ranges.delta);
    patched_bits += 8 + changed * (8 + 8 * ((width_of(ranges.delta) + 7) / 7));
  }
  // Changes so rare that they are written as exceptions, with their places.
  bits[1] = std::min(bits[1], patched_bits);
  // What stands before the blocks is of no weight in long streams and of much in short ones. A new
  // base in every block is counted too.
  const std::size_t blocks = (values.size() + kBlock - 1) / kBlock;
  const auto spelled = [](std::uint64_t value) { return 8 * varint_size(zigzag(value)); };
  const std::uint64_t step = values.size() > 1 ? values[1] - values[0] : 0;
  bits[0] += spelled(values[0]) + (blocks - 1) * 8;
  bits[1] += spelled(values[0]) + spelled(step);
  bits[2] += spelled(values[0]) + spelled(step) + 8;
  bits[3] += spelled(values[0]) + spelled(plan.slope) + (blocks - 1) * 8;
  if (values.size() < 2) bits[1] = SIZE_MAX;
  if (values.size() < 3) bits[2] = SIZE_MAX;
  if (plan.slope == 0) bits[3] = SIZE_MAX;

  const auto best = std::min_element(bits.begin(), bits.end());
  plan.transform = static_cast<Transform>(best - bits.begin());
  if (values.size() > 2 && sparse_bits + spelled(values[0]) + 16 < *best) {
    plan.transform = Transform::kDelta;
    plan.is_sparse = true;
  }
  return plan;
}

/// What the transform leaves, after its heads.
void make_residuals(std::span<const std::uint64_t> values, const Plan& plan,
                    std::vector<std::uint64_t>& out) {
  const std::size_t heads = head_count(plan.transform);
  const std::size_t count = values.size() - heads;
  out.resize(count);
  const std::uint64_t* const from = values.data() + heads;
  switch (plan.transform) {
    case Transform::kPlain:
      std::copy(values.begin(), values.end(), out.begin());
      break;
    case Transform::kDelta:
      for (std::size_t i = 0; i < count; ++i) out[i] = from[i] - values[i];
      break;
    case Transform::kDelta2:
      for (std::size_t i = 0; i < count; ++i) out[i] = from[i] - 2 * values[i + 1] + values[i];
      break;
    case Transform::kLinear:
      for (std::size_t i = 0; i < count; ++i) out[i] = values[i] - plan.slope * i;
      break;
  }
}

void put_sparse(std::span<const std::uint64_t> residuals, Bytes& out, IntScratch& scratch) {
  std::byte* const bitmap = grow(out, (residuals.size() + 7) / 8);
  scratch.changed.resize(residuals.size());
  std::size_t changed = 0;
  // Without a branch, which would be guessed wrong at every other change.
  for (std::size_t i = 0; i < residuals.size(); ++i) {
    const bool has_changed = residuals[i] != 0;
    bitmap[i / 8] |= static_cast<std::byte>(unsigned{has_changed} << (i % 8));
    scratch.changed[changed] = residuals[i];
    changed += has_changed ? 1 : 0;
  }
  scratch.changed.resize(changed);
  put_blocks(scratch.changed, out);
}

void get_sparse(Cursor& cursor, std::span<std::uint64_t> out) {
  const auto bitmap = cursor.take((out.size() + 7) / 8);
  if (cursor.has_failed()) return;
  std::size_t changed = 0;
  for (const std::byte bits : bitmap) {
    changed += static_cast<std::size_t>(std::popcount(std::to_integer<unsigned>(bits)));
  }
  const bool has_padding =
      out.size() % 8 != 0 && std::to_integer<unsigned>(bitmap.back()) >> (out.size() % 8) != 0;
  if (has_padding) return cursor.fail();
  // Decoded to the end of `out` and moved to their places from the front: the n-th of them never
  // stands before its place, so nothing is overwritten that is still to come.
  get_blocks(cursor, out.last(changed));
  if (cursor.has_failed()) return;
  std::size_t next = out.size() - changed;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const bool is_set = (std::to_integer<unsigned>(bitmap[i / 8]) >> (i % 8) & 1) != 0;
    out[i] = is_set ? out[next++] : 0;
  }
}

}  // namespace

void encode_integers(std::span<const std::uint64_t> values, Bytes& out, IntScratch& scratch) {
  const Plan plan = make_plan(values);
  make_residuals(values, plan, scratch.residuals);
  const std::span<const std::uint64_t> residuals = scratch.residuals;
  const bool is_constant =
      std::all_of(residuals.begin(), residuals.end(),
                  [first = residuals[0]](std::uint64_t value) { return value == first; });
  const Layout layout = is_constant      ? Layout::kConstant
                        : plan.is_sparse ? Layout::kSparse
                                         : Layout::kPacked;
  put_byte(out, static_cast<unsigned>(plan.transform) | static_cast<unsigned>(layout)
                                                            << kLayoutShift);
  if (head_count(plan.transform) > 0) put_zigzag(out, values[0]);
  if (head_count(plan.transform) > 1) put_zigzag(out, values[1] - values[0]);
  if (plan.transform == Transform::kLinear) put_zigzag(out, plan.slope);
  switch (layout) {
    case Layout::kConstant:
      put_zigzag(out, residuals[0]);
      break;
    case Layout::kPacked:
      put_blocks(residuals, out);
      break;
    case Layout::kSparse:
      put_sparse(residuals, out, scratch);
      break;
  }
}

void decode_integers(Cursor& cursor, std::span<std::uint64_t> out) {
  const unsigned mode = cursor.byte();
  const auto transform = static_cast<Transform>(mode & 3);
  const std::size_t heads = head_count(transform);
  if (mode >> kLayoutShift > static_cast<unsigned>(Layout::kSparse) || out.size() <= heads) {
    return cursor.fail();
  }
  if (heads > 0) out[0] = cursor.zigzag();
  std::uint64_t step = heads > 1 ? cursor.zigzag() : 0;
  if (heads > 1) out[1] = out[0] + step;
  const std::uint64_t slope = transform == Transform::kLinear ? cursor.zigzag() : 0;
  const auto residuals = out.subspan(heads);
  switch (static_cast<Layout>(mode >> kLayoutShift)) {
    case Layout::kConstant:
      std::fill(residuals.begin(), residuals.end(), cursor.zigzag());
      break;
    case Layout::kPacked:
      get_blocks(cursor, residuals);
      break;
    case Layout::kSparse:
      get_sparse(cursor, residuals);
      break;
  }
  if (cursor.has_failed()) return;
  std::uint64_t value = heads > 0 ? out[heads - 1] : 0;
  switch (transform) {
    case Transform::kPlain:
      break;
    case Transform::kDelta:
      for (std::uint64_t& residual : residuals) residual = value += residual;
      break;
    case Transform::kDelta2:
      for (std::uint64_t& residual : residuals) residual = value += step += residual;
      break;
    case Transform::kLinear:
      for (std::size_t i = 0; i < residuals.size(); ++i) residuals[i] += slope * i;
      break;
  }
}

std::string_view integer_codec_name(unsigned mode) {
  if (mode >> kLayoutShift == static_cast<unsigned>(Layout::kSparse)) return "sparse";
  if (mode >> kLayoutShift == static_cast<unsigned>(Layout::kConstant) && (mode & 3) == 0) {
    return "constant";
  }
  constexpr std::array<std::string_view, 4> kNames = {"packed", "delta", "delta_delta", "linear"};
  return kNames[mode & 3];
}

}  // namespace sluice::series
