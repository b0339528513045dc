#include "core/batch/message.h"

#include <bit>
#include <limits>

#include <sluice/ingest/valid_message.h>

namespace sluice::tsdb {
namespace {

Remarks remarks_of(ingest::QualityBits bits) {
  return static_cast<Remarks>(bits & std::numeric_limits<Remarks>::max());
}

ReadingView view_of(const ingest::ValidReading& reading) {
  ReadingView view{.metric = reading.metric,
                   .unit = reading.unit,
                   .remarks = remarks_of(reading.quality),
                   .has_value = true,
                   .bits = static_cast<std::uint64_t>(reading.integer),
                   .text = reading.text};
  switch (reading.type) {
    case ingest::ReadingType::kNone:
      view.has_value = false;
      break;
    case ingest::ReadingType::kDouble:
      view.bits = std::bit_cast<std::uint64_t>(reading.number);
      break;
    case ingest::ReadingType::kInt64:
      view.type = series::ColumnType::kInt64;
      break;
    case ingest::ReadingType::kBool:
      view.type = series::ColumnType::kBool;
      break;
    case ingest::ReadingType::kString:
      view.type = series::ColumnType::kString;
      break;
    case ingest::ReadingType::kBytes:
      view.type = series::ColumnType::kBytes;
      break;
  }
  return view;
}

}  // namespace

bool read_message(std::string_view record, MessageView& message) {
  const auto read = ingest::read_valid_message(record);
  if (!read) return false;
  const ingest::ValidFields& fields = read->fields();
  message.tenant = fields.tenant;
  message.device = fields.device;
  message.fleet = fields.fleet;
  message.device_type = fields.device_type;
  message.event_time_ms = fields.event_time_ms;
  message.received_at_ms = fields.received_at_ms;
  message.remarks = remarks_of(fields.quality);
  message.readings.clear();
  for (const ingest::ValidReading& reading : read->readings()) {
    message.readings.push_back(view_of(reading));
  }
  return true;
}

}  // namespace sluice::tsdb
