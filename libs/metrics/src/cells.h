#pragma once

#include "thread_slot.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice::metrics_detail {

/// What x86-64 and most of arm64 fetch and invalidate together.
inline constexpr std::size_t kCacheLine = 64;

/// Adds to a cell of `slot`. An owned cell has one writer, so that a load and a store do, and no
/// bus is locked; readers see the old or the new value.
template <typename Number>
void add_to_cell(std::atomic<Number>& cell, Number amount, std::size_t slot) {
  if (slot == kSharedSlot) [[unlikely]] {
    cell.fetch_add(amount, std::memory_order_relaxed);
  } else {
    cell.store(cell.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
}

struct CounterCells {
  struct alignas(kCacheLine) Cell {
    std::atomic<std::uint64_t> count{0};
  };

  void add(std::uint64_t amount) {
    const std::size_t slot = thread_slot();
    add_to_cell(cells[slot].count, amount, slot);
  }

  std::uint64_t value() const {
    std::uint64_t sum = 0;
    for (const Cell& cell : cells) sum += cell.count.load(std::memory_order_relaxed);
    return sum;
  }

  std::array<Cell, kSlotCount> cells;
};

struct GaugeCell {
  std::atomic<double> value{0};
};

/// For each slot one row of whole cache lines: the counts by bucket, the last one being +Inf.
struct HistogramCells {
  explicit HistogramCells(std::span<const double> upper_bounds);

  void observe(double value);
  /// Counts per bucket (not cumulative), summed over the slots.
  std::vector<std::uint64_t> bucket_counts() const;
  double sum() const;

  struct alignas(kCacheLine) Line {
    std::array<std::atomic<std::uint64_t>, kCacheLine / sizeof(std::uint64_t)> counts{};
  };
  struct alignas(kCacheLine) Sum {
    std::atomic<double> value{0};
  };

  std::atomic<std::uint64_t>& count_at(std::size_t slot, std::size_t bucket);
  const std::atomic<std::uint64_t>& count_at(std::size_t slot, std::size_t bucket) const;

  const std::vector<double> bounds;
  const std::size_t lines_per_slot;
  std::vector<Line> lines;
  std::array<Sum, kSlotCount> sums;
};

}  // namespace sluice::metrics_detail
