#include "core/query/plan.h"

#include "core/query/parse.h"
#include "core/query/planner.h"

#include <algorithm>
#include <format>
#include <map>
#include <ranges>
#include <set>

namespace sluice::tsdb {
namespace {

using std::chrono::milliseconds;

std::unexpected<Error> refuse(std::string field, std::string message) {
  return fail(Error(ErrorCode::kInvalidArgument, "the query is not valid")
                  .with_fault(std::move(field), std::move(message)));
}

std::unexpected<Error> over_limit(std::string_view limit, std::string field, std::string message) {
  return fail(Error(ErrorCode::kInvalidArgument, std::format("{} ({})", message, limit))
                  .with_reason(std::string(limit))
                  .with_fault(std::move(field), message));
}

Result<> check_request(const QueryRequest& request, const QueryLimits& limits) {
  if (request.from >= request.to) return refuse("from", "must be before `to`");
  if (request.to - request.from > limits.max_range) {
    return over_limit("query_max_range", "from",
                      std::format("the range is longer than {}", format_span(limits.max_range)));
  }
  const bool is_raw = request.resolution.is_raw();
  if (is_raw && !request.aggregates.empty()) {
    return refuse("agg", "needs a resolution such as auto, 1m or 1h");
  }
  if (is_raw && request.fill != Fill::kNone) return refuse("fill", "needs a resolution");
  if (is_raw && request.group_by) return refuse("group_by", "needs a resolution");
  if (is_raw && request.top) return refuse("top", "needs a resolution");
  if (!is_raw && request.limit != 0) return refuse("limit", "is for raw values");
  if (request.top && request.metrics.size() != 1) {
    return refuse("top", "ranks one metric: name exactly one");
  }
  if (request.devices.size() > limits.max_devices) {
    return over_limit("query_max_devices", "devices",
                      std::format("names more than {} devices", limits.max_devices));
  }
  return {};
}

/// The query being planned.
class Planner {
 public:
  Planner(SampleSource& source, const TenantId& tenant, const QueryLimits& limits, WallTime now,
          QueryRequest request)
      : source_(source), tenant_(tenant), limits_(limits), now_(now) {
    plan_.request = std::move(request);
  }

  Result<QueryPlan> plan() {
    SLUICE_TRY(check_request(plan_.request, limits_));
    SLUICE_TRY(find_devices());
    SLUICE_TRY(find_metrics());
    SLUICE_TRY(check_types());
    SLUICE_TRY(lay_out_time());
    SLUICE_TRY(check_size());
    plan_.memory = limits_.memory;
    describe();
    return std::move(plan_);
  }

 private:
  Result<> find_devices() {
    QueryRequest& request = plan_.request;
    std::ranges::sort(request.devices);
    const auto repeated = std::ranges::unique(request.devices);
    request.devices.erase(repeated.begin(), repeated.end());
    DeviceFilter filter{.ids = {},
                        .fleet = request.fleet,
                        .device_type = request.device_type,
                        .attributes = request.group_attributes};
    if (!request.devices.empty()) filter.ids = request.devices;
    SLUICE_TRY_ASSIGN(auto found, source_.devices(tenant_, filter, limits_.max_devices + 1));
    if (found.size() > limits_.max_devices) {
      return over_limit("query_max_devices", "devices",
                        std::format("more than {} devices fit", limits_.max_devices));
    }
    if (found.size() < request.devices.size()) {
      return fail(Error(ErrorCode::kNotFound, "no such device").with_reason("no_such_device"));
    }
    for (StoredDevice& device : found) {
      plan_.devices.push_back(
          {.device = std::move(device), .tier = Tier::kWarm, .metrics = {}, .has_texts = false});
    }
    return {};
  }

  Result<> find_metrics() {
    QueryRequest& request = plan_.request;
    MetricFilter filter;
    std::set<std::string> classes;
    for (const PlannedDevice& each : plan_.devices) classes.insert(each.device.device_type);
    if (!request.metrics.empty()) {
      filter.names = request.metrics;
    } else {
      filter.device_types.emplace(classes.begin(), classes.end());
    }
    // A name may be known in every class and in every type; more are beyond what one answer shows.
    constexpr std::size_t kMaxKeys = 20'000;
    SLUICE_TRY_ASSIGN(const auto stored, source_.metrics(tenant_, filter, kMaxKeys));
    if (stored.size() == kMaxKeys) {
      return over_limit("query_max_series", "metrics", "the metrics have too many keys");
    }
    std::map<std::string, std::set<std::string>> classes_of;
    for (const StoredMetric& metric : stored) {
      classes_of[metric.name].insert(metric.device_type);
      add_key(metric);
    }
    for (const std::string& name : request.metrics) {
      if (!classes_of.contains(name)) {
        return fail(Error(ErrorCode::kNotFound, "no such metric").with_reason("no_such_metric"));
      }
    }
    std::size_t series = 0;
    for (PlannedDevice& each : plan_.devices) {
      for (std::size_t i = 0; i < plan_.metrics.size(); ++i) {
        // Who names a device and a metric may mean what it sent as a device of another class.
        const bool is_named = !request.devices.empty() && !request.metrics.empty();
        if (!is_named && !classes_of[plan_.metrics[i].name].contains(each.device.device_type)) {
          continue;
        }
        each.metrics.push_back(i);
        each.has_texts = each.has_texts || plan_.metrics[i].kind == ValueKind::kText;
      }
      series += each.metrics.size();
    }
    if (series > limits_.max_series) {
      return over_limit("query_max_series", "metrics",
                        std::format("the answer has more than {} series", limits_.max_series));
    }
    return {};
  }

  /// Metrics come by name: keys of one name are neighbours.
  void add_key(const StoredMetric& metric) {
    const ValueKind kind =
        metric.type == series::ColumnType::kBool ? ValueKind::kBool
        : metric.type == series::ColumnType::kDouble || metric.type == series::ColumnType::kInt64
            ? ValueKind::kNumber
            : ValueKind::kText;
    if (plan_.metrics.empty() || plan_.metrics.back().name != metric.name) {
      plan_.metrics.push_back(
          {.name = metric.name, .unit = metric.unit, .type = metric.type, .kind = kind});
    } else if (PlannedMetric& known = plan_.metrics.back();
               static_cast<int>(kind) <= static_cast<int>(known.kind)) {
      // A number in one class is a number, whatever others send under its name.
      known.kind = kind;
      known.type = metric.type;
      if (!metric.unit.empty()) known.unit = metric.unit;
    }
    plan_.keys.emplace(metric.key.value(), plan_.metrics.size() - 1);
  }

  Result<> check_types() {
    QueryRequest& request = plan_.request;
    if (request.resolution.is_raw()) return {};
    if (request.aggregates.empty()) request.aggregates = {Aggregate::kAvg};
    for (const PlannedMetric& metric : plan_.metrics) {
      if (metric.kind == ValueKind::kNumber) continue;
      const auto wrong = [&](Aggregate each) { return !takes_any_type(each); };
      if (std::ranges::any_of(request.aggregates, wrong) ||
          (request.top && wrong(request.top->by))) {
        return refuse("agg", std::format("{} is of type {}, which has count, first and last only",
                                         metric.name, series::to_string(metric.type)));
      }
      if (request.fill == Fill::kLinear) {
        return refuse("fill", std::format("{} has no numbers between two", metric.name));
      }
      if (metric.kind == ValueKind::kText && (request.group_by || request.top)) {
        return refuse("metrics", std::format("{} is no number", metric.name));
      }
    }
    plan_.with_quantiles = std::ranges::any_of(request.aggregates, is_quantile) ||
                           (request.top && is_quantile(request.top->by));
    return {};
  }

  Result<> lay_out_time() {
    QueryRequest& request = plan_.request;
    plan_.from_ms = request.from.time_since_epoch().count();
    plan_.to_ms = request.to.time_since_epoch().count();
    SLUICE_TRY_ASSIGN(const auto retentions, source_.retentions());
    const auto retention_of = [&](PolicyId policy) {
      const auto found = std::ranges::find(retentions, policy, &TierRetention::policy);
      return found == retentions.end() ? TierRetention{.policy = policy} : *found;
    };
    const auto note_horizons = [&] {
      for (const PlannedDevice& each : plan_.devices) {
        note_horizon(each.tier, retention_of(each.device.policy));
      }
    };
    if (request.resolution.is_raw()) {
      note_horizons();
      return {};
    }
    milliseconds width = request.resolution.width;
    if (request.resolution.kind == Resolution::Kind::kAuto) {
      width = auto_width(request.from, request.to, now_, TierRetention{});
      for (const PlannedDevice& each : plan_.devices) {
        width = std::max(
            width, auto_width(request.from, request.to, now_, retention_of(each.device.policy)));
      }
    }
    plan_.width_ms = width.count();
    const auto down = [&](std::int64_t at) {
      const std::int64_t rest = at % plan_.width_ms;
      return at - (rest < 0 ? rest + plan_.width_ms : rest);
    };
    plan_.from_ms = down(plan_.from_ms);
    plan_.to_ms = down(plan_.to_ms - 1) + plan_.width_ms;
    for (PlannedDevice& each : plan_.devices) {
      if (each.has_texts) continue;
      each.tier = choose_tier(width, request.from, now_, retention_of(each.device.policy));
    }
    note_horizons();
    return {};
  }

  /// What retention dropped is answered as if it had never been; the head says so.
  void note_horizon(Tier tier, const TierRetention& retention) {
    if (reaches(tier, plan_.request.from, now_, retention)) return;
    auto& available_from = plan_.head.available_from;
    const WallTime horizon = now_ - *retention.of(tier);
    if (!available_from || *available_from < horizon) available_from = horizon;
  }

  Result<> check_size() {
    const QueryRequest& request = plan_.request;
    const auto range = milliseconds(plan_.to_ms - plan_.from_ms);
    std::size_t series = 0;
    for (const PlannedDevice& each : plan_.devices) {
      series += each.metrics.size();
      if (each.tier == Tier::kWarm && range > limits_.max_raw_range) {
        return over_limit(
            "query_max_raw_range", "from",
            std::format("raw values are read, for at most {}", format_span(limits_.max_raw_range)));
      }
    }
    if (plan_.is_raw()) {
      plan_.limit_of_series = limits_.max_points / std::max<std::size_t>(series, 1);
      if (request.limit != 0)
        plan_.limit_of_series = std::min(plan_.limit_of_series, request.limit);
      return {};
    }
    const auto windows = static_cast<std::size_t>(range.count() / plan_.width_ms);
    if (request.group_by) return check_groups(windows);
    const std::size_t shown = request.top ? std::min(series, request.top->count) : series;
    const std::size_t of_series = windows * request.aggregates.size();
    if (shown != 0 && of_series > limits_.max_points / shown) {
      return over_limit("query_max_points", "resolution",
                        std::format("the answer has more than {} values", limits_.max_points));
    }
    return {};
  }

  /// Groups are put together in memory, sketches and all.
  Result<> check_groups(std::size_t windows) {
    std::set<std::string> groups;
    for (const PlannedDevice& each : plan_.devices) {
      groups.insert(group_of(each.device, plan_.request).key());
    }
    const std::size_t series = groups.size() * plan_.metrics.size();
    if (series != 0 && windows > limits_.max_grouped_windows / series) {
      return over_limit(
          "query_max_grouped_windows", "resolution",
          std::format("the groups have more than {} windows", limits_.max_grouped_windows));
    }
    return {};
  }

  void describe() {
    std::set<Tier> tiers;
    for (const PlannedDevice& each : plan_.devices) tiers.insert(each.tier);
    plan_.head.from = WallTime(milliseconds(plan_.from_ms));
    plan_.head.to = WallTime(milliseconds(plan_.to_ms));
    plan_.head.resolution = plan_.is_raw() ? "raw" : format_span(milliseconds(plan_.width_ms));
    for (const Tier tier : tiers) plan_.head.tiers.emplace_back(tier_label(tier));
    if (plan_.is_raw()) plan_.head.columns = {"value"};
    plan_.head.attributes = plan_.request.group_attributes;
    for (const Aggregate each : plan_.request.aggregates) {
      plan_.head.columns.emplace_back(to_string(each));
    }
  }

  SampleSource& source_;
  const TenantId& tenant_;
  const QueryLimits& limits_;
  const WallTime now_;
  QueryPlan plan_;
};

}  // namespace

Result<QueryPlan> plan_query(SampleSource& source, const TenantId& tenant, QueryRequest request,
                             const QueryLimits& limits, WallTime now) {
  return Planner(source, tenant, limits, now, std::move(request)).plan();
}

}  // namespace sluice::tsdb
