#include <sluice/series/quantile_sketch.h>

#include "bytes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

namespace sluice::series {
namespace {

// The bucket of a magnitude is ceil(kBucketsPerOctave * L(x)), where L is a cubic in place of log2:
// equal to it at powers of two, rising in between, and made of operations that every machine rounds
// alike. std::log is not, and then two machines would make different bytes of the same values.
// (Masson, Rim, Lee 2019 call this mapping cubically interpolated; it takes 1 % more buckets than
// the logarithm.)
constexpr double kCubic = 6.0 / 35;
constexpr double kSquare = -3.0 / 5;
constexpr double kLinear = 10.0 / 7;

/// ln((1 + e) / (1 - e)) of the relative error e = 0.01: how far a bucket's ends may lie apart.
constexpr double kLogGamma = 0.020000666706669435;
static_assert(QuantileSketch::kRelativeError == 0.01);

/// L rises by 10/7 per unit of ln(x) where it rises slowest, at the powers of two.
constexpr double kBucketsPerOctave = 1 / (kLinear * kLogGamma);

/// Of the largest double and the smallest subnormal one: 1,075 octaves of 35 buckets, and a few.
constexpr std::int32_t kMaxIndex = 38'000;

double cubic(double s) { return ((kCubic * s + kSquare) * s + kLinear) * s; }

std::int32_t index_of(double magnitude) {
  int exponent = 0;
  // Within [0.5, 1); exact, for subnormal numbers too.
  const double fraction = std::frexp(magnitude, &exponent);
  const double octaves = exponent - 1 + cubic(2 * fraction - 1);
  return static_cast<std::int32_t>(std::ceil(octaves * kBucketsPerOctave));
}

/// The magnitude at which buckets `index` and `index + 1` meet, divided by 2^exponent.
double upper_end(std::int32_t index, int exponent) {
  const double octaves = index / kBucketsPerOctave;
  const double whole = std::floor(octaves);
  const double part = octaves - whole;
  // Newton's method on a cubic that is close to a line: four steps give all 52 bits.
  double s = part;
  for (int step = 0; step < 4; ++step) {
    s -= (cubic(s) - part) / ((3 * kCubic * s + 2 * kSquare) * s + kLinear);
  }
  return std::ldexp(1 + s, static_cast<int>(whole) - exponent);
}

/// Equally far, in relation, from both ends of the bucket.
double value_of(std::int32_t index) {
  // Near 1 while computing: the ends of the last buckets are past the largest double.
  const int exponent = static_cast<int>(std::floor(index / kBucketsPerOctave));
  const double low = upper_end(index - 1, exponent);
  const double high = upper_end(index, exponent);
  const double middle = std::ldexp(2 * low * high / (low + high), exponent);
  return std::min(middle, std::numeric_limits<double>::max());
}

constexpr unsigned kVersion = 1;
constexpr unsigned kVersionMask = 0x0f;
constexpr unsigned kHasZeros = 0x10;
constexpr unsigned kHasPositive = 0x20;
constexpr unsigned kHasNegative = 0x40;
/// Every count is 1 and none is written: what a window of few samples has.
constexpr unsigned kAllOnes = 0x80;

std::unexpected<Error> broken(std::string_view what) {
  return fail(ErrorCode::kDataLoss, std::string("quantile sketch: ").append(what));
}

}  // namespace

void QuantileSketch::collapse(Buckets& buckets) {
  if (buckets.empty()) return;
  // A function of the largest index alone, which only rises: whatever the order of adding and
  // merging, a value ends in the greater one of its own bucket and the final floor.
  const std::int32_t floor = buckets.back().index - (kMaxSpan - 1);
  std::size_t below = 0;
  std::uint64_t count = 0;
  while (buckets[below].index < floor) count += buckets[below++].count;
  if (below == 0) return;
  if (buckets[below].index == floor) {
    buckets[below].count += count;
  } else {
    buckets[--below] = {floor, count};
  }
  buckets.erase(buckets.begin(), buckets.begin() + static_cast<std::ptrdiff_t>(below));
}

void QuantileSketch::add_to(Buckets& buckets, std::int32_t index, std::uint64_t times) {
  const auto at = std::ranges::lower_bound(buckets, index, {}, &Bucket::index);
  if (at != buckets.end() && at->index == index) {
    at->count += times;
    return;
  }
  buckets.insert(at, {index, times});
  if (buckets.back().index - buckets.front().index >= kMaxSpan) collapse(buckets);
}

void QuantileSketch::merge_into(Buckets& buckets, const Buckets& others) {
  if (others.empty()) return;
  Buckets merged;
  merged.reserve(buckets.size() + others.size());
  auto mine = buckets.begin();
  for (const Bucket& other : others) {
    while (mine != buckets.end() && mine->index < other.index) merged.push_back(*mine++);
    merged.push_back(other);
    if (mine != buckets.end() && mine->index == other.index) merged.back().count += mine++->count;
  }
  merged.insert(merged.end(), mine, buckets.end());
  collapse(merged);
  buckets = std::move(merged);
}

bool QuantileSketch::add(double value, std::uint64_t times) {
  if (!std::isfinite(value)) return false;
  if (times == 0) return true;
  count_ += times;
  if (value == 0) {
    zeros_ += times;
  } else {
    add_to(value > 0 ? positive_ : negative_, index_of(std::fabs(value)), times);
  }
  return true;
}

void QuantileSketch::merge(const QuantileSketch& other) {
  count_ += other.count_;
  zeros_ += other.zeros_;
  merge_into(positive_, other.positive_);
  merge_into(negative_, other.negative_);
}

std::optional<double> QuantileSketch::quantile(double q) const {
  if (count_ == 0) return std::nullopt;
  const double clamped = q > 0 ? std::min(q, 1.0) : 0.0;  // NaN is 0 too
  // Counts past 2^53 are rounded, those past 2^63 would not fit any more.
  auto rank =
      static_cast<std::uint64_t>(std::min(clamped * static_cast<double>(count_ - 1), 0x1p63));
  rank = std::min(rank, count_ - 1);
  for (auto bucket = negative_.rbegin(); bucket != negative_.rend(); ++bucket) {
    if (rank < bucket->count) return -value_of(bucket->index);
    rank -= bucket->count;
  }
  if (rank < zeros_) return 0.0;
  rank -= zeros_;
  for (const Bucket& bucket : positive_) {
    if (rank < bucket.count) return value_of(bucket.index);
    rank -= bucket.count;
  }
  return std::nullopt;  // only where merging hostile counts has overflowed
}

void QuantileSketch::encode_buckets(const Buckets& buckets, bool with_counts, Bytes& out) {
  put_varint(out, buckets.size());
  std::int32_t next = 0;
  bool is_first = true;
  for (const Bucket& bucket : buckets) {
    const auto difference = static_cast<std::int64_t>(bucket.index) - next;
    if (is_first) {
      put_zigzag(out, static_cast<std::uint64_t>(difference));
    } else {
      put_varint(out, static_cast<std::uint64_t>(difference));
    }
    if (with_counts) put_varint(out, bucket.count);
    next = bucket.index + 1;
    is_first = false;
  }
}

void QuantileSketch::encode(Bytes& out) const {
  const auto is_one = [](const Bucket& bucket) { return bucket.count == 1; };
  const bool all_ones = bucket_count() > 0 && std::ranges::all_of(positive_, is_one) &&
                        std::ranges::all_of(negative_, is_one);
  put_byte(out, kVersion | (zeros_ > 0 ? kHasZeros : 0) | (positive_.empty() ? 0 : kHasPositive) |
                    (negative_.empty() ? 0 : kHasNegative) | (all_ones ? kAllOnes : 0));
  if (zeros_ > 0) put_varint(out, zeros_);
  if (!positive_.empty()) encode_buckets(positive_, !all_ones, out);
  if (!negative_.empty()) encode_buckets(negative_, !all_ones, out);
}

Result<QuantileSketch::Buckets> QuantileSketch::decode_buckets(Cursor& cursor, bool with_counts) {
  const std::uint64_t size = cursor.varint();
  if (size == 0 || size > static_cast<std::uint64_t>(kMaxSpan) || size > cursor.left()) {
    return broken("a number of buckets that cannot be");
  }
  Buckets buckets;
  buckets.reserve(static_cast<std::size_t>(size));
  std::int64_t next = 0;
  for (std::uint64_t i = 0; i < size; ++i) {
    const std::uint64_t difference = i == 0 ? cursor.zigzag() : cursor.varint();
    const std::uint64_t count = with_counts ? cursor.varint() : 1;
    const auto step = static_cast<std::int64_t>(difference);
    if (cursor.has_failed() || count == 0 || step > 2 * kMaxIndex || step < -2 * kMaxIndex) {
      return broken("a bucket that cannot be");
    }
    const std::int64_t index = next + step;
    if (index > kMaxIndex || index < -kMaxIndex) return broken("a bucket out of range");
    buckets.push_back({static_cast<std::int32_t>(index), count});
    next = index + 1;
  }
  if (buckets.back().index - buckets.front().index >= kMaxSpan) return broken("a span too wide");
  return buckets;
}

Result<QuantileSketch> QuantileSketch::decode(std::span<const std::byte> bytes) {
  Cursor cursor(bytes);
  const unsigned head = cursor.byte();
  if (cursor.has_failed() || (head & kVersionMask) != kVersion) return broken("unknown version");
  const bool with_counts = (head & kAllOnes) == 0;
  QuantileSketch sketch;
  if ((head & kHasZeros) != 0) {
    sketch.zeros_ = cursor.varint();
    if (sketch.zeros_ == 0) return broken("no zeros");
  }
  if ((head & kHasPositive) != 0) {
    SLUICE_TRY_ASSIGN(sketch.positive_, decode_buckets(cursor, with_counts));
  }
  if ((head & kHasNegative) != 0) {
    SLUICE_TRY_ASSIGN(sketch.negative_, decode_buckets(cursor, with_counts));
  }
  if (cursor.has_failed() || cursor.left() > 0) return broken("cut off, or more than one");
  sketch.count_ = sketch.zeros_;
  bool has_many = sketch.bucket_count() == 0;
  for (const Buckets* buckets : {&sketch.positive_, &sketch.negative_}) {
    for (const Bucket& bucket : *buckets) {
      if (__builtin_add_overflow(sketch.count_, bucket.count, &sketch.count_)) {
        return broken("more values than can be counted");
      }
      has_many |= bucket.count > 1;
    }
  }
  // One sketch has one spelling.
  if (with_counts != has_many) return broken("counts that are not spelled as they would be");
  return sketch;
}

}  // namespace sluice::series
