#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::series::bench {

/// One device's window: shared times, and the values of one or several metrics.
struct Series {
  std::vector<std::int64_t> timestamps;
  std::vector<std::vector<double>> metrics;
};

/// Many windows of one kind, made of a fixed seed: every run measures the same.
struct DataSet {
  std::string name;
  /// Of Gorilla's bytes this many at most, 0 where nothing is promised.
  double target_ratio = 0;
  /// Bytes per sample at most, times included.
  double target_bytes = 0;
  std::vector<Series> series;
};

std::vector<DataSet> make_data_sets(std::size_t series_count);

}  // namespace sluice::series::bench
