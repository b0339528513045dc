#pragma once

#include "adapters/compactor.h"
#include "adapters/retention_keeper.h"
#include "adapters/storage.h"
#include "testing/stored_content.h"
#include "testing/telemetry_source.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/leadership.h>
#include <sluice/postgres/testing/test_database.h>

namespace sluice::tsdb::testing {

/// A value of a device, `d<device>`, whose key is that number. The metric's key goes with the
/// value's type: 1 double, 2 integer, 3 truth, 4 text.
struct Measured {
  std::int64_t device = 1;
  WallTime time;
  Value value;
};

/// The tables and those who keep them, without writers: rows of `hot` are put there by hand, into
/// whichever arrival hour.
class MaintenanceWorld {
 public:
  struct Options {
    bool with_timescaledb = false;
    /// Instead of a database of its own: what a child process was given.
    std::optional<postgres::Config> config{};
  };
  explicit MaintenanceWorld(Options options);

  /// Whether the server can do what was asked for; a test that cannot run skips itself.
  bool is_possible() const { return is_possible_; }
  const postgres::testing::TestDatabase& database() const { return *database_; }
  Storage& storage() { return *storage_; }

  /// Devices 1 to `count` of tenant blue and class meter, with the policy of that number.
  void add_devices(int count, int policy = 1);
  /// What one flush wrote into an arrival hour: a row for each device and event hour.
  void flush(WallTime arrival, const std::vector<Measured>& samples);
  /// A row of `hot` whose chunk is these bytes.
  void flush_bytes(WallTime arrival, std::int64_t device, WallTime hour, std::string_view bytes);

  Result<> compact(const SliceLimits& slice = {});
  Result<> retain();

  /// What the warm tables and hot over them hold.
  Content content();
  /// Device, time and bytes of each row of a tier, over all policies.
  std::map<std::string, std::string> rows(Tier tier);
  std::string query(const std::string& sql) const { return database_->query_value(sql); }

 private:
  std::optional<postgres::testing::TestDatabase> database_;
  bool is_possible_ = true;
  SystemClock clock_;
  SystemRandom random_;
  Registry registry_;
  Logger log_;
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<postgres::Leadership> leader_;
};

/// What tables should hold after these, later ones overriding.
void store_into(const Measured& sample, Content& content);

}  // namespace sluice::tsdb::testing
