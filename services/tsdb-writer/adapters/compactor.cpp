#include "adapters/compactor.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>

#include <sluice/base/crash_point.h>
#include <sluice/base/planted_bug.h>
#include <sluice/postgres/transaction.h>

namespace sluice::tsdb {
namespace {

using postgres::Transaction;

// Known partitions are forgotten past this many: years of hours in every table.
constexpr std::size_t kMaxKnownPartitions = 100'000;

std::span<const std::byte> bytes_of(const std::string& bytes) {
  return std::as_bytes(std::span(bytes));
}

/// A row as it is stored, where it is to go, and whether it may be gone.
class TierView {
 public:
  TierView(Tier tier, const StoredRows& rows, const Horizons& horizons)
      : tier_(tier), rows_(rows), horizons_(horizons) {}

  StoredBytes stored(const DeviceRows& device, WallTime at) const {
    if (const auto* found = rows_.find({device.device, at})) {
      return {.is_gone = false, .bytes = bytes_of(found->bytes)};
    }
    return {.is_gone = horizons_.may_be_gone(tier_, device.policies, at), .bytes = {}};
  }
  /// A row stays in the table that it was first written to, so that there is one of each device and
  /// time; new ones go to the tables of the device's policy.
  std::string table(const DeviceRows& device, WallTime at) const {
    const auto* found = rows_.find({device.device, at});
    return table_name(tier_, found != nullptr ? found->policy : device.policy);
  }

 private:
  Tier tier_;
  const StoredRows& rows_;
  const Horizons& horizons_;
};

/// What the slice needs of every tier.
struct StoredSlice {
  StoredRows warm;
  StoredRows minutes;
  StoredRows hours;
  StoredRows days;
};

Result<StoredSlice> read_stored(Transaction& tx, const Slice& slice, const Horizons& horizons) {
  std::set<PolicyId> policies;
  std::set<RowPlace> warm_places;
  std::set<RowPlace> day_places;
  std::set<RowPlace> month_places;
  for (const DeviceRows& device : slice.devices) {
    policies.insert(device.policies.begin(), device.policies.end());
    for (const auto& [hour, rows] : device.hours) {
      warm_places.insert({device.device, hour});
      day_places.insert({device.device, rollup_row_of(Tier::kRollup1h, hour)});
      month_places.insert({device.device, rollup_row_of(Tier::kRollup1d, hour)});
    }
  }
  StoredSlice stored;
  SLUICE_TRY_ASSIGN(stored.warm, read_rows(tx, Tier::kWarm, policies, warm_places, horizons));
  // Minutes are made anew from the chunk; what is stored of them matters where that is gone. Of a
  // device that had another policy it matters in which table they are.
  std::set<RowPlace> minute_places;
  for (const DeviceRows& device : slice.devices) {
    const TierView warm(Tier::kWarm, stored.warm, horizons);
    for (const auto& [hour, rows] : device.hours) {
      if (device.policies.size() > 1 || warm.stored(device, hour).bytes.empty()) {
        minute_places.insert({device.device, hour});
      }
    }
  }
  SLUICE_TRY_ASSIGN(stored.minutes,
                    read_rows(tx, Tier::kRollup1m, policies, minute_places, horizons));
  SLUICE_TRY_ASSIGN(stored.hours, read_rows(tx, Tier::kRollup1h, policies, day_places, horizons));
  SLUICE_TRY_ASSIGN(stored.days, read_rows(tx, Tier::kRollup1d, policies, month_places, horizons));
  return stored;
}

}  // namespace

struct Compactor::SliceOutput {
  std::vector<NewRow> rows;
  CompactorMetrics::Work work;

  void add_rollup(std::string table, DeviceKey device, WallTime at, std::vector<std::byte> bytes) {
    if (bytes.empty()) return;
    ++work.rollup_rows;
    work.rollup_bytes += bytes.size();
    rows.push_back(
        {.table = std::move(table), .device = device, .at = at, .bytes = std::move(bytes)});
  }
  void add_warm(std::string table, DeviceKey device, WarmRow row, std::uint64_t samples) {
    ++work.chunks;
    work.chunk_samples += samples;
    work.chunk_bytes += row.chunk.size();
    rows.push_back({.table = std::move(table),
                    .device = device,
                    .at = row.hour,
                    .first = row.first,
                    .last = row.last,
                    .times = row.times,
                    .bytes = std::move(row.chunk)});
  }
};

Compactor::Compactor(Options options, postgres::Leadership& leader, PartitionManager& partitions,
                     const Clock& clock, const Logger& log, Registry& registry)
    : options_(options),
      leader_(leader),
      partitions_(partitions),
      clock_(clock),
      log_(log),
      metrics_(registry) {}

Result<> Compactor::run(const std::stop_token& stop) {
  SLUICE_TRY_ASSIGN(const bool leads, leader_.acquire());
  if (!leads) {
    metrics_.note_debt({});
    return {};
  }
  SLUICE_TRY(note_debt());
  while (!stop.stop_requested()) {
    SLUICE_TRY_ASSIGN(
        const auto arrival,
        leader_.transaction({.all_tenants = true, .timeout = options_.slice_timeout},
                            [&](Transaction& tx) { return seal_oldest_hour(tx, options_.delay); }));
    if (!arrival) break;
    SLUICE_CRASH_POINT("tsdb_compaction_after_seal");
    SLUICE_TRY(compact_hour(*arrival, stop));
    SLUICE_TRY(note_debt());
  }
  return {};
}

Result<> Compactor::compact_hour(WallTime arrival, const std::stop_token& stop) {
  const MonoTime began = clock_.mono();
  if (SLUICE_PLANTED_BUG("compactor_begins_hours_anew")) {
    const auto forgotten = leader_.transaction({.all_tenants = true}, [&](Transaction& tx) {
      return tx.execute("UPDATE hot_hours SET next_device_key = 0 WHERE arrival_hour = $1",
                        {arrival});
    });
    if (!forgotten) return fail(forgotten.error());
  }
  for (;;) {
    if (stop.stop_requested()) return {};
    const MonoTime slice_began = clock_.mono();
    SLUICE_TRY_ASSIGN(const bool did_some, compact_slice(arrival));
    if (!did_some) break;
    SLUICE_CRASH_POINT("tsdb_compaction_after_slice");
    pause_after(clock_.mono() - slice_began, stop);
  }
  SLUICE_CRASH_POINT("tsdb_compaction_before_drop");
  SLUICE_TRY(leader_.run_transaction(
      {.all_tenants = true, .timeout = options_.slice_timeout},
      [&](Transaction& tx) { return drop_hour(tx, partitions_, arrival); }));
  SLUICE_CRASH_POINT("tsdb_compaction_after_hour");
  metrics_.hours.add(1);
  log_.info(
      "hour_compacted",
      {{"arrival_hour", format_rfc3339(arrival)},
       {"took_ms",
        std::chrono::duration_cast<std::chrono::milliseconds>(clock_.mono() - began).count()}});
  return {};
}

Result<bool> Compactor::compact_slice(WallTime arrival) {
  const MonoTime began = clock_.mono();
  SliceOutput output;
  std::set<PartitionPlace> made;
  SLUICE_TRY_ASSIGN(const bool did_some,
                    leader_.transaction({.all_tenants = true, .timeout = options_.slice_timeout},
                                        [&](Transaction& tx) -> Result<bool> {
                                          output = {};
                                          made.clear();
                                          SLUICE_TRY_ASSIGN(
                                              const Slice slice,
                                              read_slice(tx, arrival, options_.slice));
                                          if (slice.devices.empty()) return false;
                                          output.work.rows_in = slice.rows;
                                          SLUICE_TRY(compact_devices(tx, slice, output));
                                          SLUICE_TRY(make_partitions(tx, output.rows, made));
                                          SLUICE_TRY(write_rows(tx, output.rows));
                                          SLUICE_CRASH_POINT("tsdb_compaction_after_rows");
                                          SLUICE_TRY(note_progress(tx, slice));
                                          SLUICE_CRASH_POINT("tsdb_compaction_after_progress");
                                          return true;
                                        }));
  if (!did_some) return false;
  known_partitions_.merge(made);
  if (known_partitions_.size() > kMaxKnownPartitions) known_partitions_.clear();
  metrics_.note_slice(output.work, clock_.mono() - began);
  return true;
}

Result<> Compactor::compact_devices(Transaction& tx, const Slice& slice, SliceOutput& output) {
  SLUICE_TRY_ASSIGN(const Horizons horizons, read_horizons(tx));
  SLUICE_TRY_ASSIGN(const StoredSlice stored, read_stored(tx, slice, horizons));
  const TierView warm(Tier::kWarm, stored.warm, horizons);
  const TierView minutes(Tier::kRollup1m, stored.minutes, horizons);
  const TierView hours(Tier::kRollup1h, stored.hours, horizons);
  const TierView days(Tier::kRollup1d, stored.days, horizons);
  for (const DeviceRows& device : slice.devices) {
    std::map<WallTime, std::vector<RollupPart>> day_parts;
    for (const auto& [hour, rows] : device.hours) {
      HourToCompact input{.hour = hour,
                          .hot = {},
                          .warm = warm.stored(device, hour),
                          .minutes = minutes.stored(device, hour)};
      for (const HotChunk& row : rows) input.hot.push_back(bytes_of(row.bytes));
      auto compacted = compaction_.compact(input);
      if (!compacted) {
        log_.error("rows_set_aside", compacted.error());
        SLUICE_TRY(set_aside(tx, slice, device.device, hour, rows, compacted.error()));
        output.work.set_aside_rows += rows.size();
        continue;
      }
      output.work.samples_in += compacted->samples_in;
      if (compacted->warm) {
        output.add_warm(warm.table(device, hour), device.device, *std::move(compacted->warm),
                        compacted->samples_out);
      } else {
        ++output.work.merged_hours;
      }
      output.add_rollup(minutes.table(device, hour), device.device, hour,
                        std::move(compacted->minutes));
      day_parts[rollup_row_of(Tier::kRollup1h, hour)].push_back(std::move(compacted->part));
    }
    std::map<WallTime, std::vector<RollupPart>> month_parts;
    for (const auto& [day, parts] : day_parts) {
      SLUICE_TRY_ASSIGN(auto rolled,
                        roll_up(Tier::kRollup1h, day, hours.stored(device, day), parts));
      output.add_rollup(hours.table(device, day), device.device, day, std::move(rolled.row));
      month_parts[rollup_row_of(Tier::kRollup1d, day)].push_back(std::move(rolled.part));
    }
    for (const auto& [month, parts] : month_parts) {
      SLUICE_TRY_ASSIGN(auto rolled,
                        roll_up(Tier::kRollup1d, month, days.stored(device, month), parts));
      output.add_rollup(days.table(device, month), device.device, month, std::move(rolled.row));
    }
  }
  return {};
}

Result<> Compactor::make_partitions(Transaction& tx, const std::vector<NewRow>& rows,
                                    std::set<PartitionPlace>& made) {
  // By day, of which every table's width is a multiple: asking costs a statement.
  for (const NewRow& row : rows) {
    PartitionPlace place{row.table, std::chrono::floor<std::chrono::days>(row.at)};
    if (known_partitions_.contains(place) || !made.insert(place).second) continue;
    SLUICE_TRY(partitions_.ensure(tx, row.table, row.at, row.at));
  }
  return {};
}

Result<> Compactor::note_debt() {
  SLUICE_TRY_ASSIGN(
      const CompactionDebt debt,
      leader_.transaction({.all_tenants = true, .read_only = true}, [&](Transaction& tx) {
        return read_debt(tx, partitions_, options_.delay);
      }));
  metrics_.note_debt(debt);
  return {};
}

void Compactor::pause_after(std::chrono::nanoseconds work, const std::stop_token& stop) const {
  if (options_.busy_percent >= 100) return;
  const auto pause = work * (100 - options_.busy_percent) / options_.busy_percent;
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, pause, [] { return false; });
}

}  // namespace sluice::tsdb
