#pragma once

#include "core/query/model.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::tsdb {

/// What is known of an answer before its first value.
struct AnswerHead {
  WallTime from{};
  WallTime to{};
  /// Where a part of the range is kept no more: since when all that was asked for is.
  std::optional<WallTime> available_from{};
  /// "raw" or the width of the windows: "15m".
  std::string resolution{};
  /// "raw", "1m", "1h", "1d", finest first.
  std::vector<std::string> tiers{};
  /// What stands beside the time of each point: "value", or aggregates: "avg", "p95".
  std::vector<std::string> columns{};
  /// Attributes that the devices were grouped by.
  std::vector<std::string> attributes{};
};

/// A series of one device, or of a group of devices.
struct SeriesHead {
  std::string device;  // empty for a group
  std::optional<std::string> fleet;
  std::optional<std::string> device_type;
  std::string metric;
  std::string unit;
  std::string_view type;  // "double", "int64", "bool", "string", "bytes"
  std::string_view tier;
  /// Values of AnswerHead::attributes.
  std::vector<std::string> attributes{};
};

/// Where an answer goes, piece by piece. Each call may wait for a slow reader; an error ends the
/// query.
class ResultSink {
 public:
  virtual ~ResultSink() = default;

  virtual Result<> begin(const AnswerHead& head) = 0;
  virtual Result<> begin_series(const SeriesHead& head) = 0;
  /// As many values as there are columns.
  virtual Result<> point(std::int64_t time_ms, std::span<const Value> values) = 0;
  /// `next_from`: the series was cut by a limit, and goes on there.
  virtual Result<> end_series(std::optional<std::int64_t> next_from) = 0;
  virtual Result<> end() = 0;
};

}  // namespace sluice::tsdb
