#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include <sluice/telemetry/v1/valid_message.pb.h>

namespace sluice::tsdb::testing {

using Value = std::variant<double, std::int64_t, bool, std::string>;

/// What tables should hold: (tenant, device, metric, type, time) -> the value's bits or text.
using Content =
    std::map<std::tuple<std::string, std::string, std::string, int, std::int64_t>, std::string>;

/// A message in the making. Values of std::string are texts.
struct Said {
  std::string tenant = "blue";
  std::string device = "d1";
  std::string device_type = "meter";
  std::string fleet = "north";
  std::int64_t event_time_ms = 0;
  std::vector<std::pair<std::string, Value>> readings{};
  std::string unit{};
};

telemetry::v1::ValidMessage message_of(const Said& said);
inline std::string record_of(const Said& said) { return message_of(said).SerializeAsString(); }

/// As they look once stored, in this order: a later one overrides.
void store_into(const Said& said, Content& content);
/// A value as Content spells it.
std::string spelled(const Value& value);

}  // namespace sluice::tsdb::testing
