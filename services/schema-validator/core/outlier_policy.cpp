#include "core/outlier_policy.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::validator {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<std::string_view, OutlierAction>, 3> kActions{
    {{"pass", OutlierAction::kPass},
     {"flag", OutlierAction::kFlag},
     {"quarantine", OutlierAction::kQuarantine}}};

/// Takes the members of the object one by one; what is left in the end is unknown.
class Reader {
 public:
  explicit Reader(Json object) : left_(std::move(object)) {}

  void action(OutlierAction& field) {
    const auto value = take("action");
    if (!value) return;
    for (const auto& [name, action] : kActions) {
      if (*value == name) {
        field = action;
        return;
      }
    }
    fault("action", "must be one of pass, flag, quarantine");
  }

  void number(const char* name, std::optional<double>& field, double min) {
    const auto value = take(name);
    if (!value) return;
    if (value->is_null()) {
      field.reset();
    } else if (!value->is_number() || !(value->get<double>() >= min)) {
      fault(name, min == 0 ? "must be a number, at least 0" : "must be a number");
    } else {
      field = value->get<double>();
    }
  }
  void number(const char* name, double& field, double min) {
    std::optional<double> value = field;
    number(name, value, min);
    if (value) field = *value;
  }

  void count(const char* name, std::optional<std::uint32_t>& field, std::int64_t min,
             std::int64_t max) {
    const auto value = take(name);
    if (!value) return;
    if (value->is_null()) {
      field.reset();
    } else if (!value->is_number_integer() || *value < min || *value > max) {
      fault(name, "must be an integer from " + std::to_string(min) + " to " + std::to_string(max));
    } else {
      field = value->get<std::uint32_t>();
    }
  }
  void count(const char* name, std::uint32_t& field, std::int64_t min, std::int64_t max) {
    std::optional<std::uint32_t> value = field;
    count(name, value, min, max);
    if (value) field = *value;
  }

  void fault(std::string_view name, std::string message) {
    faults_.push_back({json_pointer("", name), std::move(message)});
  }

  std::vector<FieldFault> finish() {
    for (const auto& [name, value] : left_.items()) fault(name, "is not known here");
    return std::move(faults_);
  }

 private:
  std::optional<Json> take(const char* name) {
    const auto found = left_.find(name);
    if (found == left_.end()) return std::nullopt;
    Json value = std::move(*found);
    left_.erase(found);
    return value;
  }

  Json left_;
  std::vector<FieldFault> faults_;
};

constexpr double kAny = std::numeric_limits<double>::lowest();

}  // namespace

Result<OutlierRule> parse_outlier_rule(std::string_view json) {
  SLUICE_TRY_ASSIGN(Json object, parse_json_object(json));
  Reader reader(std::move(object));
  OutlierRule rule;
  reader.action(rule.action);
  reader.number("min", rule.min, kAny);
  reader.number("max", rule.max, kAny);
  reader.number("max_step", rule.max_step, 0);
  reader.number("max_rate_per_s", rule.max_rate_per_s, 0);
  reader.number("max_deviations", rule.max_deviations, 0);
  reader.count("stuck_count", rule.stuck_count, 2, 65'535);
  reader.count("stuck_seconds", rule.stuck_seconds, 1, 31 * 86'400);
  reader.count("warm_up", rule.warm_up, 2, 255);
  reader.count("half_life", rule.half_life, 2, 100'000);
  reader.number("min_spread", rule.min_spread, 0);
  reader.number("min_spread_ratio", rule.min_spread_ratio, 0);
  if (rule.min && rule.max && *rule.min > *rule.max) reader.fault("min", "must not exceed max");
  if (auto faults = reader.finish(); !faults.empty()) {
    return fail(Error(ErrorCode::kInvalidArgument, "the outlier policy is not valid")
                    .with_faults(std::move(faults)));
  }
  return rule;
}

std::string to_json(const OutlierRule& rule) {
  Json json = Json::object();
  for (const auto& [name, action] : kActions) {
    if (action == rule.action) json["action"] = name;
  }
  const auto put = [&json](const char* name, const auto& value) {
    if (value) json[name] = *value;
  };
  put("min", rule.min);
  put("max", rule.max);
  put("max_step", rule.max_step);
  put("max_rate_per_s", rule.max_rate_per_s);
  json["max_deviations"] = rule.max_deviations ? Json(*rule.max_deviations) : Json(nullptr);
  put("stuck_count", rule.stuck_count);
  put("stuck_seconds", rule.stuck_seconds);
  json["warm_up"] = rule.warm_up;
  json["half_life"] = rule.half_life;
  json["min_spread"] = rule.min_spread;
  json["min_spread_ratio"] = rule.min_spread_ratio;
  return to_json_text(json);
}

}  // namespace sluice::validator
