#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <sluice/series/chunk.h>

namespace sluice::tsdb {

/// Remarks as bits 1 << telemetry.v1.Quality, of which the highest is 5; those past 15 are left
/// out.
using Remarks = std::uint16_t;

/// One value of one metric, as it is in a record.
struct ReadingView {
  std::string_view metric;
  std::string_view unit;
  series::ColumnType type = series::ColumnType::kDouble;
  Remarks remarks = 0;
  bool has_value = false;
  /// A double's bits, an integer, 0 or 1; nothing for texts.
  std::uint64_t bits = 0;
  std::string_view text{};
};

/// A telemetry.v1.ValidMessage, as far as it is stored. Views into the record; used again and
/// again.
struct MessageView {
  std::string_view tenant;
  std::string_view device;
  std::string_view fleet;
  std::string_view device_type;
  std::int64_t event_time_ms = 0;
  std::int64_t received_at_ms = 0;
  Remarks remarks = 0;
  std::vector<ReadingView> readings{};
};

/// False for bytes that are no ValidMessage.
bool read_message(std::string_view record, MessageView& message);

}  // namespace sluice::tsdb
