#include <sluice/series/rollup.h>

#include "bytes.h"
#include "decimal.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

namespace sluice::series {
namespace {

/// A sum and what rounding took from it; their sum is exact (Knuth's TwoSum).
struct TwoSum {
  double sum;
  double rest;
};

TwoSum two_sum(double a, double b) {
  const double sum = a + b;
  const double of_b = sum - a;
  return {sum, (a - (sum - of_b)) + (b - of_b)};
}

/// -0.0 before 0.0: which of the two is smaller must not depend on the order they come in.
bool is_less(double a, double b) {
  return a < b || (a == b && std::signbit(a) && !std::signbit(b));
}

bool is_earlier(const Rollup::Stamped& a, const Rollup::Stamped& b) {
  return a.timestamp != b.timestamp ? a.timestamp < b.timestamp : is_less(a.value, b.value);
}

using Parts = std::array<double, 4>;

/// Two rounds are enough, three at most. The limit is for totals at the very end of the range,
/// where the errors themselves overflow.
constexpr int kMostRounds = 16;

/// Moves bits between the parts from `first` on, until each is the rounded sum of itself and the
/// next.
void settle(Parts& parts, std::size_t first) {
  bool has_changed = true;
  for (int round = 0; has_changed && round < kMostRounds; ++round) {
    has_changed = false;
    for (std::size_t i = 3; i-- > first;) {
      const auto [sum, rest] = two_sum(parts[i], parts[i + 1]);
      has_changed |= sum != parts[i] || rest != parts[i + 1];
      parts[i] = sum;
      parts[i + 1] = rest;
    }
  }
}

constexpr unsigned kVersion = 1;
constexpr unsigned kVersionMask = 0x0f;
constexpr unsigned kHasValues = 0x10;
constexpr unsigned kHasNotFinite = 0x20;
/// The sum has a second and a third part.
constexpr unsigned kHasRest = 0x40;
constexpr unsigned kKnownBits = kVersionMask | kHasValues | kHasNotFinite | kHasRest;

std::unexpected<Error> broken(std::string_view what) {
  return fail(ErrorCode::kDataLoss, std::string("roll-up: ").append(what));
}

}  // namespace

void ExactSum::add(double value) {
  // Adds to each part from the smallest up, the rounding error staying behind: four parts.
  std::array<double, 4> parts{};
  double carry = value;
  for (std::size_t i = 3; i-- > 0;) {
    const auto [sum, rest] = two_sum(carry, parts_[i]);
    parts[i + 1] = rest;
    carry = sum;
  }
  parts[0] = carry;
  normalise(parts);
}

void ExactSum::normalise(std::array<double, 4> parts) {
  // Past the largest double there are no errors to keep; infinity stays infinity.
  if (!std::isfinite(parts[0])) {
    parts_ = {parts[0], 0, 0};
    return;
  }
  settle(parts, 0);
  // A part that is exactly half of the last bit of the one before it was rounded away to even
  // there, though what follows may tip the balance: without this a total had two spellings.
  for (std::size_t i = 0; i < 2; ++i) {
    const double doubled = 2 * parts[i + 1];
    const double tipped = parts[i] + doubled;
    const bool same_side = parts[i + 2] != 0 && (parts[i + 2] > 0) == (parts[i + 1] > 0);
    if (parts[i + 1] == 0 || !same_side || tipped - parts[i] != doubled) continue;
    parts[i] = tipped;
    parts[i + 1] = -parts[i + 1];
    settle(parts, i + 1);
  }
  // -0.0 and 0.0 are one total.
  for (std::size_t i = 0; i < 3; ++i) parts_[i] = parts[i] + 0.0;
}

void ExactSum::merge(const ExactSum& other) {
  for (const double part : other.parts_) add(part);
}

ExactSum ExactSum::of_parts(const std::array<double, 3>& parts) {
  ExactSum sum;
  for (const double part : parts) sum.add(part);
  return sum;
}

void Rollup::add(std::int64_t timestamp, double value) {
  const bool is_first = sketch_.is_empty();
  if (!sketch_.add(value)) {
    ++not_finite_;
    return;
  }
  const Stamped stamped{timestamp, value};
  if (is_first || is_less(value, min_)) min_ = value;
  if (is_first || is_less(max_, value)) max_ = value;
  if (is_first || is_earlier(stamped, first_)) first_ = stamped;
  if (is_first || is_earlier(last_, stamped)) last_ = stamped;
  sum_.add(value);
}

void Rollup::merge(const Rollup& other) {
  not_finite_ += other.not_finite_;
  if (other.sketch_.is_empty()) return;
  const bool is_first = sketch_.is_empty();
  if (is_first || is_less(other.min_, min_)) min_ = other.min_;
  if (is_first || is_less(max_, other.max_)) max_ = other.max_;
  if (is_first || is_earlier(other.first_, first_)) first_ = other.first_;
  if (is_first || is_earlier(last_, other.last_)) last_ = other.last_;
  sum_.merge(other.sum_);
  sketch_.merge(other.sketch_);
}

std::optional<double> Rollup::quantile(double q) const {
  const auto value = sketch_.quantile(q);
  if (!value) return value;
  return std::clamp(*value, min_, max_);
}

void Rollup::encode(Bytes& out) const {
  const bool has_values = count() > 0;
  const auto& parts = sum_.parts();
  const bool has_rest = parts[1] != 0;
  put_byte(out, kVersion | (has_values ? kHasValues : 0) | (not_finite_ > 0 ? kHasNotFinite : 0) |
                    (has_rest ? kHasRest : 0));
  if (not_finite_ > 0) put_varint(out, not_finite_);
  if (!has_values) return;
  put_double(out, min_);
  put_double(out, max_);
  put_zigzag(out, static_cast<std::uint64_t>(first_.timestamp));
  put_double(out, first_.value);
  put_varint(out, static_cast<std::uint64_t>(last_.timestamp) -
                      static_cast<std::uint64_t>(first_.timestamp));
  put_double(out, last_.value);
  put_double(out, parts[0]);
  if (has_rest) put_double(out, parts[1]);
  if (has_rest) put_double(out, parts[2]);
  sketch_.encode(out);
}

Result<Rollup> Rollup::decode(std::span<const std::byte> bytes) {
  Cursor cursor(bytes);
  const unsigned head = cursor.byte();
  if (cursor.has_failed() || (head & kVersionMask) != kVersion || head > kKnownBits) {
    return broken("unknown version");
  }
  Rollup rollup;
  if ((head & kHasNotFinite) != 0) rollup.not_finite_ = cursor.varint();
  if ((head & kHasValues) == 0) {
    if (cursor.has_failed() || cursor.left() > 0) return broken("cut off, or more than one");
    return rollup;
  }
  rollup.min_ = get_double(cursor);
  rollup.max_ = get_double(cursor);
  rollup.first_.timestamp = static_cast<std::int64_t>(cursor.zigzag());
  rollup.first_.value = get_double(cursor);
  const std::uint64_t duration = cursor.varint();
  rollup.last_.timestamp =
      static_cast<std::int64_t>(static_cast<std::uint64_t>(rollup.first_.timestamp) + duration);
  rollup.last_.value = get_double(cursor);
  std::array<double, 3> parts = {get_double(cursor)};
  if ((head & kHasRest) != 0) {
    parts[1] = get_double(cursor);
    parts[2] = get_double(cursor);
  }
  rollup.sum_ = ExactSum::of_parts(parts);
  for (const double value : {rollup.min_, rollup.max_, rollup.first_.value, rollup.last_.value}) {
    if (!std::isfinite(value) || is_less(value, rollup.min_) || is_less(rollup.max_, value)) {
      return broken("values that cannot be of one window");
    }
  }
  if (cursor.has_failed() || is_earlier(rollup.last_, rollup.first_)) return broken("cut off");
  SLUICE_TRY_ASSIGN(rollup.sketch_, QuantileSketch::decode(cursor.take(cursor.left())));
  if (rollup.sketch_.is_empty()) return broken("values without a count");
  return rollup;
}

}  // namespace sluice::series
