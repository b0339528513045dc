#pragma once

#include "fleet.h"
#include "reconciler.h"
#include "roster.h"

#include <chrono>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/http/client.h>

namespace sluice::sim {

struct QueryOptions {
  std::string url;      // https://host:port
  std::string ca_file;  // empty: the system's authorities
  std::string key;      // API key of the devices' tenant
};

/// Compares what the query API answers at raw resolution with what the devices published, sample by
/// sample. Blocks; one owner.
class StoredSamples {
 public:
  /// All must outlive it. The reconciler has all verdicts.
  StoredSamples(const QueryOptions& options, const Fleet& fleet, const Roster& roster,
                const Reconciler& reconciler, const Ledger& ledger, const Clock& clock);

  /// Asks for every device until all it expects is there, up to `patience`, and adds what it found.
  Result<> check(std::chrono::milliseconds patience, Completeness& sum) const;

 private:
  struct Expected;
  struct Point;

  std::vector<Expected> expected_of(std::uint32_t device) const;
  /// Adds to `sum` what came of one device; kUnavailable and the like: ask again.
  Result<> check_device(std::uint32_t device, Completeness& sum) const;
  Result<std::vector<Point>> ask(std::uint32_t device, std::string_view metric,
                                 std::int64_t from_ms, std::int64_t to_ms) const;
  void compare(std::uint32_t device, std::size_t metric, const std::vector<Expected>& expected,
               const std::vector<Point>& points, Completeness& sum) const;

  const QueryOptions options_;
  const Fleet& fleet_;
  const Roster& roster_;
  const Reconciler& reconciler_;
  const Ledger& ledger_;
  const Clock& clock_;
  http::Client http_;
};

}  // namespace sluice::sim
