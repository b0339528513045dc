#pragma once

#include "core/compact/compact.h"
#include "core/storage_layout.h"
#include "ports.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/postgres/transaction.h>

namespace sluice::tsdb {

/// How much one transaction of compaction takes. A device is never cut in two, so the largest one
/// may exceed this.
struct SliceLimits {
  std::size_t rows = 20'000;
  std::size_t bytes = std::size_t{16} << 20;
  std::size_t devices = 200;
};

/// One row of `hot`, without what the slice says already.
struct HotChunk {
  std::int64_t flush = 0;
  std::string bytes;
};

/// A device of a slice and its rows, by event hour, in the order in which they were written.
struct DeviceRows {
  DeviceKey device;
  PolicyId policy;
  /// Its policy and those it had before.
  std::vector<PolicyId> policies;
  std::map<WallTime, std::vector<HotChunk>> hours;
};

struct Slice {
  WallTime arrival;
  std::vector<DeviceRows> devices;
  std::size_t rows = 0;
  std::size_t bytes = 0;
};

/// A row of a tier that is to be read: the tier says how its time is cut.
struct RowPlace {
  DeviceKey device;
  WallTime at;
  auto operator<=>(const RowPlace&) const = default;
};

/// What is stored of such rows, and where each is. Bytes live as long as this.
class StoredRows {
 public:
  struct Found {
    std::string bytes;
    PolicyId policy;
  };
  std::map<RowPlace, Found> rows;

  const Found* find(const RowPlace& place) const {
    const auto found = rows.find(place);
    return found == rows.end() ? nullptr : &found->second;
  }
};

/// A row to be written.
struct NewRow {
  std::string table;
  DeviceKey device;
  WallTime at;
  // Of warm alone.
  WallTime first{};
  WallTime last{};
  std::int32_t times = 0;
  std::vector<std::byte> bytes;
};

/// Up to where each policy's tables were dropped.
class Horizons {
 public:
  void set(Tier tier, PolicyId policy, WallTime dropped_before);
  WallTime of(Tier tier, PolicyId policy) const;
  /// Whether a row that is not there may have been: a table that the device may have been in was
  /// dropped beyond it.
  bool may_be_gone(Tier tier, const std::vector<PolicyId>& policies, WallTime at) const;

 private:
  std::map<std::pair<Tier, PolicyId>, WallTime> dropped_before_;
};

/// The column by which rows of a tier are found, beside the device.
std::string_view time_column_of(Tier tier);

// The steps of compaction in SQL, each in the leader's transaction, which must be of all tenants.

/// The oldest hour that was over `delay` ago by the database's clock, sealed; nothing when there is
/// none. Waits for those who still write into it.
Result<std::optional<WallTime>> seal_oldest_hour(postgres::Transaction& tx,
                                                 std::chrono::milliseconds delay);
/// The next devices of a sealed hour; none when all were dealt with.
Result<Slice> read_slice(postgres::Transaction& tx, WallTime arrival, const SliceLimits& limits);
Result<Horizons> read_horizons(postgres::Transaction& tx);
/// Rows of a tier in the tables of the policies. What is below a table's horizon is not found, be
/// its partition still there or not.
Result<StoredRows> read_rows(postgres::Transaction& tx, Tier tier,
                             const std::set<PolicyId>& policies, const std::set<RowPlace>& places,
                             const Horizons& horizons);
/// Each over what is there of the same device and time.
Result<> write_rows(postgres::Transaction& tx, std::span<const NewRow> rows);
Result<> set_aside(postgres::Transaction& tx, const Slice& slice, DeviceKey device, WallTime hour,
                   std::span<const HotChunk> rows, const Error& reason);
/// Every device up to and including the slice's last was dealt with.
Result<> note_progress(postgres::Transaction& tx, const Slice& slice);
/// Drops a sealed hour with its rows and forgets it.
Result<> drop_hour(postgres::Transaction& tx, PartitionManager& partitions, WallTime arrival);

struct CompactionDebt {
  std::int64_t hours = 0;
  std::int64_t bytes = 0;
  /// Since the oldest hour that waits was over.
  double oldest_seconds = 0;
};
Result<CompactionDebt> read_debt(postgres::Transaction& tx, PartitionManager& partitions,
                                 std::chrono::milliseconds delay);

}  // namespace sluice::tsdb
