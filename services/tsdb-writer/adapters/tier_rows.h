#pragma once

#include "core/storage_layout.h"
#include "ports.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/postgres/transaction.h>

namespace sluice::tsdb {

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

// In the leader's transaction, which must be of all tenants.

Result<Horizons> read_horizons(postgres::Transaction& tx);
/// Rows of a tier in the tables of the policies. What is below a table's horizon is not found, be
/// its partition still there or not.
Result<StoredRows> read_rows(postgres::Transaction& tx, Tier tier,
                             const std::set<PolicyId>& policies, const std::set<RowPlace>& places,
                             const Horizons& horizons);
/// Each over what is there of the same device and time.
Result<> write_rows(postgres::Transaction& tx, std::span<const NewRow> rows);

}  // namespace sluice::tsdb
