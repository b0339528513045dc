#pragma once

#include "core/storage_layout.h"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/base/strong_id.h>
#include <sluice/series/chunk.h>
#include <sluice/series/chunk_reader.h>

namespace sluice::postgres {
class Transaction;
}

namespace sluice::tsdb {

/// Place of a record in its partition of a topic; a position is that of the next record to come.
using Offset = StrongId<struct OffsetTag, std::int64_t>;

struct TopicPartition {
  std::string topic;
  std::int32_t partition = 0;

  auto operator<=>(const TopicPartition&) const = default;
};

/// One partition of a big table.
struct TimePartition {
  std::string name;
  WallTime starts;
  WallTime ends;
  std::int64_t bytes = 0;
};

/// How the big tables are cut by time: by PostgreSQL itself ("plain") or by TimescaleDB
/// ("hypertable"). Thread-safe: holds no state; every call works in the transaction it is given,
/// which must be of all tenants.
class PartitionManager {
 public:
  virtual ~PartitionManager() = default;

  virtual std::string_view name() const = 0;
  /// Makes what is missing so that rows of [from, until] can be written. Others may write
  /// meanwhile; two who make the same wait for each other.
  virtual Result<> ensure(postgres::Transaction& tx, std::string_view table, WallTime from,
                          WallTime until) = 0;
  /// Oldest first.
  virtual Result<std::vector<TimePartition>> list(postgres::Transaction& tx,
                                                  std::string_view table) = 0;
  /// Drops one that list() gave, with all its rows. Needs the table for itself for a moment: waits
  /// for those at work in it, at most postgres_lock_timeout.
  virtual Result<> drop(postgres::Transaction& tx, std::string_view table,
                        const TimePartition& partition) = 0;
};

/// What this process has taken from Kafka and not committed to the tables yet.
class RecentSamples {
 public:
  virtual ~RecentSamples() = default;

  /// A device's samples within the range, as chunks like those in `hot`, oldest first: merge them
  /// over what the tables say. Ask this *before* the tables; a sample that moves from here to there
  /// in between is then seen twice, which merging does not mind, and never not at all. Any thread;
  /// takes a few milliseconds at most and never waits for PostgreSQL. Other processes' samples are
  /// not here: they show within a flush's time (batch_max_age and the commit).
  virtual std::vector<std::vector<std::byte>> of_device(DeviceKey device,
                                                        series::TimeRange range) const = 0;
};

/// Who a device is, as its last message said. Views live as long as the call.
struct DeviceIdentity {
  std::string_view tenant;
  std::string_view device;
  std::string_view fleet;
  std::string_view device_type;
};

/// A metric of a class.
struct MetricIdentity {
  std::string_view tenant;
  std::string_view device_type;
  std::string_view name;
  series::ColumnType type = series::ColumnType::kDouble;
  std::string_view unit;
};

/// The short keys of devices and metrics, made where they are missing.
class DictionaryStore {
 public:
  virtual ~DictionaryStore() = default;

  /// In the order asked for. Fleet, class and unit are brought up to date. A metric that its class
  /// has no room for (max_metrics_per_class) has no key. All of it is committed when this returns.
  struct Keys {
    std::vector<DeviceKey> devices;
    std::vector<std::optional<MetricKey>> metrics;
  };
  virtual Result<Keys> resolve(std::span<const DeviceIdentity> devices,
                               std::span<const MetricIdentity> metrics) = 0;
};

/// A row of `hot`.
struct HotRow {
  DeviceKey device;
  WallTime event_hour;
  WallTime first;
  WallTime last;
  /// Different event times.
  std::int32_t times = 0;
  std::span<const std::byte> chunk;
};

/// What a flush takes from one partition of a topic: records [begin, next). A begin of nullopt
/// follows on anything: nobody has read this log before.
struct PartitionSpan {
  TopicPartition partition;
  std::optional<Offset> begin;
  Offset next;
  /// The log was made anew beneath us: what is stored of its positions means nothing any more.
  bool is_new_log = false;
};

/// Gives the rows of a flush one by one.
class HotRowSource {
 public:
  virtual ~HotRowSource() = default;
  /// Called before the first next(), and to begin anew: from the first row, leaving out those of
  /// the partitions (by index into the flush's spans) marked true, whose records are stored
  /// already.
  virtual void restart(const std::vector<bool>& left_out) = 0;
  /// False after the last. The row is valid until the next call.
  virtual Result<bool> next(HotRow& row) = 0;
};

struct FlushReport {
  std::int64_t rows = 0;
  /// Partitions that another writer, or this one before an answer was lost, had written already.
  std::size_t partitions_left_out = 0;
};

/// Reason of the error when a stored position is before what a flush begins at.
inline constexpr std::string_view kOffsetsWentBack = "offsets_went_back";

/// Rows and offsets, both or neither.
class HotStore {
 public:
  virtual ~HotStore() = default;

  /// The position of each partition: everything below it is in the tables. nullopt: never written.
  virtual Result<std::vector<std::optional<Offset>>> positions(
      std::span<const TopicPartition> partitions) = 0;

  /// One transaction. A partition whose stored position is past its span is left out, which makes a
  /// flush of unknown outcome safe to repeat and a fenced owner harmless. kDataLoss with reason
  /// kOffsetsWentBack when a stored position is before its span's begin: the database was set back,
  /// and writing on would leave a gap. See stored_already().
  virtual Result<FlushReport> flush(std::span<const PartitionSpan> spans, HotRowSource& rows) = 0;
};

}  // namespace sluice::tsdb
