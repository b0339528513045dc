#include "writer/tables.h"

#include "testing/stored_content.h"
#include "testing/telemetry_source.h"
#include "writer/table_parts.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/ingest/valid_message.h>

namespace sluice::simulation {
namespace {

Error out_of_reach() { return {ErrorCode::kUnavailable, "the database is out of reach"}; }

std::optional<tsdb::testing::Value> value_of(const ingest::ValidReading& reading) {
  switch (reading.type) {
    case ingest::ReadingType::kDouble:
      return reading.number;
    case ingest::ReadingType::kInt64:
      return reading.integer;
    case ingest::ReadingType::kBool:
      return reading.integer != 0;
    case ingest::ReadingType::kString:
      return std::string(reading.text);
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<std::vector<std::optional<tsdb::Offset>>> SimHotStore::positions(
    std::span<const tsdb::TopicPartition> partitions) {
  if (world_.strikes(Fault::kSlowStore, 0.05)) return fail(out_of_reach());
  return rows_.positions(partitions);
}

Result<tsdb::FlushReport> SimHotStore::flush(std::span<const tsdb::PartitionSpan> spans,
                                             tsdb::HotRowSource& rows) {
  std::optional<Error> failure;
  bool is_committed = true;
  if (world_.strikes(Fault::kSlowStore, 0.1)) {
    is_committed = world_.random.chance(0.5);
    failure = Error(ErrorCode::kUnavailable, "connection lost").with_reason("outcome_unknown");
  }
  const auto stored = stored_already(spans);
  rows_.fail_with(failure, is_committed);
  auto report = rows_.flush(spans, rows);
  if (report && report->partitions_left_out < stored) {
    world_.violated(Invariant::kIdempotent, "a span is stored a second time");
  }
  for (const tsdb::PartitionSpan& span : spans) {
    world_.trace.note("flush {}/{} [{}, {}) {}", span.partition.topic, span.partition.partition,
                      span.begin ? span.begin->value() : -1, span.next.value(),
                      report         ? "ok"
                      : is_committed ? "committed and lost"
                                     : "failed");
  }
  return report;
}

std::size_t SimHotStore::stored_already(std::span<const tsdb::PartitionSpan> spans) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(spans, [&](const tsdb::PartitionSpan& span) {
        const auto position = rows_.position(span.partition);
        return !span.is_new_log && position && *position >= span.next;
      }));
}

Result<tsdb::DictionaryStore::Keys> SimDictionary::resolve(
    std::span<const tsdb::DeviceIdentity> devices, std::span<const tsdb::MetricIdentity> metrics) {
  if (world_.strikes(Fault::kSlowStore, 0.05)) return fail(out_of_reach());
  return names_.resolve(devices, metrics);
}

Tables::Tables(World& world) : parts_(std::make_unique<Parts>(world)) {}
Tables::~Tables() = default;

std::optional<std::int64_t> Tables::position(const std::string& topic,
                                             std::int32_t partition) const {
  const auto position = parts_->hot.rows().position({topic, partition});
  return position ? std::optional(position->value()) : std::nullopt;
}

Content Tables::content() const { return parts_->hot.rows().content(parts_->dictionary.names()); }

void replay(std::string_view valid_record, Content& content) {
  const auto message = ingest::read_valid_message(valid_record);
  SLUICE_CHECK(message.has_value());
  tsdb::testing::Said said{.tenant = std::string(message->fields().tenant),
                           .device = std::string(message->fields().device),
                           .device_type = {},
                           .fleet = {},
                           .event_time_ms = message->fields().event_time_ms};
  for (const ingest::ValidReading& reading : message->readings()) {
    if (auto value = value_of(reading)) {
      said.readings.emplace_back(reading.metric, *std::move(value));
    }
  }
  tsdb::testing::store_into(said, content);
}

std::string difference(const Content& wanted, const Content& found) {
  return tsdb::testing::difference(wanted, found);
}

}  // namespace sluice::simulation
