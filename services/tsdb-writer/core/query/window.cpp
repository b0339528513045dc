#include "core/query/window.h"

#include <algorithm>
#include <cmath>

#include <sluice/base/check.h>

namespace sluice::tsdb {

/// To be called before count_ rises. Ties are broken as series::Rollup does, lest tiers differ.
void Window::widen(const Extent& extent) {
  if (count_ == 0) {
    min_ = extent.min;
    max_ = extent.max;
    first_ = extent.first;
    last_ = extent.last;
    return;
  }
  min_ = std::min(min_, extent.min);
  max_ = std::max(max_, extent.max);
  if (extent.first.timestamp < first_.timestamp ||
      (extent.first.timestamp == first_.timestamp && extent.first.value < first_.value)) {
    first_ = extent.first;
  }
  if (extent.last.timestamp > last_.timestamp ||
      (extent.last.timestamp == last_.timestamp && extent.last.value > last_.value)) {
    last_ = extent.last;
  }
}

void Window::add(std::int64_t timestamp, double value) {
  if (!std::isfinite(value)) return;
  const series::Rollup::Stamped stamped{.timestamp = timestamp, .value = value};
  widen({.min = value, .max = value, .first = stamped, .last = stamped});
  ++count_;
  sum_.add(value);
  if (with_quantiles_) sketch_.add(value);
}

void Window::add(const series::Rollup& rollup) {
  if (rollup.count() == 0) return;
  widen({.min = rollup.min(), .max = rollup.max(), .first = rollup.first(), .last = rollup.last()});
  count_ += rollup.count();
  // The roll-up tells its sum rounded once; many of them differ from the exact one in the last bit.
  sum_.add(rollup.sum());
  if (with_quantiles_) sketch_.merge(rollup.sketch());
}

void Window::add(const Window& other) {
  if (other.is_empty()) return;
  widen({.min = other.min_, .max = other.max_, .first = other.first_, .last = other.last_});
  count_ += other.count_;
  sum_.merge(other.sum_);
  if (with_quantiles_) sketch_.merge(other.sketch_);
}

std::size_t Window::heap_bytes() const {
  constexpr std::size_t kBucketBytes = 16;
  return 2 * kBucketBytes * sketch_.bucket_count();
}

void Window::clear() { *this = Window(with_quantiles_); }

std::optional<double> Window::value(Aggregate aggregate) const {
  if (aggregate == Aggregate::kCount) return static_cast<double>(count_);
  if (is_empty()) return std::nullopt;
  const auto quantile = [&](double q) -> std::optional<double> {
    SLUICE_CHECK(with_quantiles_);
    const auto found = sketch_.quantile(q);
    return found ? std::optional(std::clamp(*found, min_, max_)) : std::nullopt;
  };
  switch (aggregate) {
    case Aggregate::kAvg:
      return sum_.value() / static_cast<double>(count_);
    case Aggregate::kMin:
      return min_;
    case Aggregate::kMax:
      return max_;
    case Aggregate::kSum:
      return sum_.value();
    case Aggregate::kFirst:
      return first_.value;
    case Aggregate::kLast:
      return last_.value;
    case Aggregate::kP50:
      return quantile(0.5);
    case Aggregate::kP95:
      return quantile(0.95);
    case Aggregate::kP99:
      return quantile(0.99);
    case Aggregate::kCount:
      break;
  }
  return std::nullopt;
}

}  // namespace sluice::tsdb
