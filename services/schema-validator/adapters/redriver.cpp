#include "adapters/redriver.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <sluice/base/crash_point.h>
#include <sluice/kafka/topics.h>
#include <sluice/telemetry/v1/rejected_message.pb.h>

namespace sluice::validator {
namespace {

constexpr std::string_view kRejected = kafka::topics::kTelemetryRejected.name;

struct Outgoing {
  std::string key;
  std::string value;
  kafka::Partition partition;
};

using Place = std::pair<std::int32_t, std::int64_t>;  // partition and offset

struct Records {
  std::map<Place, std::string> found{};
  std::size_t bytes = 0;
};

/// The records at those places, as far as Kafka has them, until there are that many bytes: the last
/// of them is the last that was looked for. Neighbours are read together; between two that lie far
/// apart is a second read.
Result<Records> read_some(kafka::PartitionReader& reader, const std::vector<RejectionRow>& rows,
                          std::size_t enough_bytes, std::chrono::milliseconds timeout) {
  constexpr std::int64_t kMaxGap = 500;  // records that are read for nothing
  std::map<std::int32_t, std::vector<std::int64_t>> wanted;
  for (const RejectionRow& row : rows) {
    wanted[row.place.partition].push_back(row.place.offset);
  }
  Records records;
  for (auto& [partition, offsets] : wanted) {
    std::ranges::sort(offsets);
    for (std::size_t from = 0; from < offsets.size();) {
      std::size_t to = from + 1;
      while (to < offsets.size() && offsets[to] - offsets[to - 1] <= kMaxGap) ++to;
      const kafka::Stretch stretch{
          .partition = {std::string(kRejected), kafka::Partition(partition)},
          .from = kafka::Offset(offsets[from]),
          .to = kafka::Offset(offsets[to - 1] + 1),
          .last = {}};
      SLUICE_TRY(reader.read({&stretch, 1}, timeout, [&](const kafka::RecordView& record) {
        if (std::ranges::binary_search(offsets, record.offset.value()) && record.value) {
          records.found[{partition, record.offset.value()}] = *record.value;
          records.bytes += record.value->size();
        }
        return records.bytes < enough_bytes;
      }));
      if (records.bytes >= enough_bytes) return records;
      from = to;
    }
  }
  return records;
}

}  // namespace

Result<std::optional<std::string>> read_rejected(kafka::PartitionReader& reader,
                                                 std::int32_t partition, std::int64_t offset,
                                                 std::chrono::milliseconds timeout) {
  const kafka::Stretch stretch{.partition = {std::string(kRejected), kafka::Partition(partition)},
                               .from = kafka::Offset(offset),
                               .to = kafka::Offset(offset + 1),
                               .last = {}};
  std::optional<std::string> found;
  SLUICE_TRY(reader.read({&stretch, 1}, timeout, [&](const kafka::RecordView& record) {
    if (record.offset.value() == offset && record.value) found.emplace(*record.value);
    return false;
  }));
  return found;
}

Redriver::Redriver(const Options& options, postgres::Pool& pool, RejectionStore& store,
                   kafka::Sender& sender, std::unique_ptr<kafka::PartitionReader> reader,
                   const Clock& clock, const Logger& log, Registry& registry)
    : options_(options),
      store_(store),
      sender_(sender),
      reader_(std::move(reader)),
      clock_(clock),
      log_(log),
      leadership_(pool, "schema_validator.redrive"),
      sent_(registry.counter("sluice_validator_redriven_total",
                             "Rejected messages that were sent to telemetry.raw once more.")),
      missing_(registry.counter("sluice_validator_redrive_missing_total",
                                "Rejected messages of re-drives that Kafka has no more.")) {}

Result<> Redriver::run(std::stop_token stop) {
  SLUICE_TRY_ASSIGN(const bool leads, leadership_.acquire());
  if (!leads) return {};
  while (!stop.stop_requested() && clock_.mono() >= next_) {
    SLUICE_TRY_ASSIGN(auto redrive, store_.next_redrive());
    if (!redrive) return {};
    SLUICE_TRY_ASSIGN(const bool has_more, send_batch(*redrive));
    if (!has_more) {
      log_.info("redrive_done", {{"tenant", redrive->tenant},
                                 {"redrive_id", redrive->redrive_id},
                                 {"sent", redrive->sent},
                                 {"missing", redrive->missing}});
    }
  }
  return {};
}

Result<bool> Redriver::send_batch(Redrive& redrive) {
  SLUICE_TRY_ASSIGN(const RejectionSelection selection, parse_selection(redrive.selection));
  SLUICE_TRY_ASSIGN(auto rows, store_.list_in_log_order(TenantId(redrive.tenant), selection,
                                                        redrive.cursor, options_.batch));
  if (rows.empty()) {
    redrive.state = "succeeded";
    SLUICE_TRY(store_.advance_redrive(redrive, redrive.cursor));
    return false;
  }
  const auto place_of = [](const RejectionRow& row) {
    return Place(row.place.partition, row.place.offset);
  };
  SLUICE_TRY_ASSIGN(const Records read,
                    read_some(*reader_, rows, options_.batch_bytes, options_.timeout));
  const auto& found = read.found;
  if (read.bytes >= options_.batch_bytes) {
    std::erase_if(rows, [&](const auto& row) { return place_of(row) > found.rbegin()->first; });
  }
  std::vector<Outgoing> outgoing;
  std::int64_t missing = 0;
  for (const RejectionRow& row : rows) {
    const auto bytes = found.find(place_of(row));
    telemetry::v1::RejectedMessage message;
    // One that was rejected because it is no message at all has nothing to be tried again with.
    if (bytes == found.end() || !message.ParseFromString(bytes->second) ||
        message.raw().message_id().empty()) {
      ++missing;
      continue;
    }
    message.mutable_raw()->set_redrive_id(redrive.redrive_id);
    outgoing.push_back({.key = message.raw().tenant() + "/" + message.raw().device(),
                        .value = message.raw().SerializeAsString(),
                        .partition = kafka::Partition(message.source_partition())});
  }
  std::vector<kafka::Record> records;
  for (const Outgoing& each : outgoing) {
    records.push_back({.topic = kafka::topics::kTelemetryRaw.name,
                       .key = each.key,
                       .value = each.value,
                       .headers = {},
                       .timestamp = {},
                       .partition = each.partition});
  }
  SLUICE_TRY(sender_.send_and_wait(records, options_.timeout));
  SLUICE_CRASH_POINT("validator_redrive_after_send");
  redrive.sent += static_cast<std::int64_t>(records.size());
  redrive.missing += missing;
  const auto from = std::exchange(redrive.cursor, rows.back().place);
  SLUICE_TRY(store_.advance_redrive(redrive, from));
  sent_.add(records.size());
  missing_.add(static_cast<std::uint64_t>(missing));
  next_ = clock_.mono() + std::chrono::milliseconds(static_cast<std::int64_t>(rows.size()) * 1000 /
                                                    options_.per_second);
  return true;
}

}  // namespace sluice::validator
