#pragma once

#include "world/world.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

namespace sluice::simulation {

/// What the tables hold: tenant, device, metric, type, event time -> the value, spelled out.
using Content =
    std::map<std::tuple<std::string, std::string, std::string, int, std::int64_t>, std::string>;

/// The database of tsdb-writer: rows and positions, changed together or not at all. It is slow,
/// fails, and sometimes does what it was asked without saying so. Outlives the writers.
class Tables {
 public:
  explicit Tables(World& world);
  ~Tables();

  /// Everything below it is in the tables; nullopt: nothing was ever written.
  std::optional<std::int64_t> position(const std::string& topic, std::int32_t partition) const;
  /// All rows, later flushes over earlier ones, as a reader merges them.
  Content content() const;

  // For the writers.
  struct Parts;
  Parts& parts() { return *parts_; }

 private:
  std::unique_ptr<Parts> parts_;
};

/// Adds what a record of telemetry.valid says, as a clean replay of the log would.
void replay(std::string_view valid_record, Content& content);
/// The first few differences; empty where there is none.
std::string difference(const Content& wanted, const Content& found);

}  // namespace sluice::simulation
