#include "cells.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <sluice/metrics/metrics.h>

namespace sluice {
namespace metrics_detail {
namespace {

constexpr std::size_t kCountsPerLine = kCacheLine / sizeof(std::uint64_t);

}  // namespace

HistogramCells::HistogramCells(std::span<const double> upper_bounds)
    : bounds(upper_bounds.begin(), upper_bounds.end()),
      lines_per_slot((bounds.size() + 1 + kCountsPerLine - 1) / kCountsPerLine),
      lines(lines_per_slot * kSlotCount) {}

void HistogramCells::observe(double value) {
  if (std::isnan(value)) return;
  // Buckets hold what is less than or equal to their bound.
  const auto bucket =
      static_cast<std::size_t>(std::ranges::lower_bound(bounds, value) - bounds.begin());
  const std::size_t slot = thread_slot();
  add_to_cell(count_at(slot, bucket), std::uint64_t{1}, slot);
  add_to_cell(sums[slot].value, value, slot);
}

std::vector<std::uint64_t> HistogramCells::bucket_counts() const {
  std::vector<std::uint64_t> counts(bounds.size() + 1);
  for (std::size_t slot = 0; slot < kSlotCount; ++slot) {
    for (std::size_t bucket = 0; bucket < counts.size(); ++bucket) {
      counts[bucket] += count_at(slot, bucket).load(std::memory_order_relaxed);
    }
  }
  return counts;
}

double HistogramCells::sum() const {
  double total = 0;
  for (const Sum& sum : sums) total += sum.value.load(std::memory_order_relaxed);
  return total;
}

std::atomic<std::uint64_t>& HistogramCells::count_at(std::size_t slot, std::size_t bucket) {
  return lines[slot * lines_per_slot + bucket / kCountsPerLine].counts[bucket % kCountsPerLine];
}

const std::atomic<std::uint64_t>& HistogramCells::count_at(std::size_t slot,
                                                           std::size_t bucket) const {
  return lines[slot * lines_per_slot + bucket / kCountsPerLine].counts[bucket % kCountsPerLine];
}

}  // namespace metrics_detail

void Counter::add(std::uint64_t count) { cells_->add(count); }
std::uint64_t Counter::value() const { return cells_->value(); }

void Gauge::set(double value) { cell_->value.store(value, std::memory_order_relaxed); }
void Gauge::add(double delta) { cell_->value.fetch_add(delta, std::memory_order_relaxed); }
double Gauge::value() const { return cell_->value.load(std::memory_order_relaxed); }

void Histogram::observe(double value) { cells_->observe(value); }
double Histogram::sum() const { return cells_->sum(); }
std::uint64_t Histogram::count() const {
  const std::vector<std::uint64_t> counts = cells_->bucket_counts();
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::span<const double> latency_buckets_seconds() {
  static constexpr double kBounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                       0.1,    0.25,  0.5,    1,     2.5,  5,     10};
  return kBounds;
}

}  // namespace sluice
