#include "core/query/latest.h"

#include "core/query/planner.h"
#include "core/query/slice.h"

#include <map>

namespace sluice::tsdb {
namespace {

constexpr std::size_t kMaxKeys = 20'000;  // as plan_query()

}  // namespace

Result<StoredDevice> find_device(SampleSource& source, const TenantId& tenant,
                                 const std::string& device_id) {
  SLUICE_TRY_ASSIGN(
      auto found,
      source.devices(tenant, {.ids = std::vector{device_id}, .fleet = {}, .device_type = {}}, 1));
  if (found.empty()) {
    return fail(Error(ErrorCode::kNotFound, "no such device").with_reason("no_such_device"));
  }
  return std::move(found.front());
}

Result<std::vector<LatestValue>> latest_values(SampleSource& source, const TenantId& tenant,
                                               const std::string& device_id,
                                               const std::vector<std::string>& names) {
  SLUICE_TRY_ASSIGN(const StoredDevice device, find_device(source, tenant, device_id));
  MetricFilter filter;
  if (names.empty()) {
    filter.device_types = std::vector{device.device_type};
  } else {
    filter.names = names;
  }
  SLUICE_TRY_ASSIGN(const auto metrics, source.metrics(tenant, filter, kMaxKeys));
  SeriesOfMetric keys;
  std::vector<const StoredMetric*> of_series;  // the first key of each name
  for (const StoredMetric& metric : metrics) {
    if (of_series.empty() || of_series.back()->name != metric.name) of_series.push_back(&metric);
    keys.emplace(metric.key.value(), of_series.size() - 1);
  }
  SLUICE_TRY_ASSIGN(const DeviceSlice slice, source.read_newest(device, kLatestRows));
  std::vector<std::vector<Sample>> samples;
  SLUICE_TRY(read_samples(slice, keys, of_series.size(), {}, samples));
  DeviceSlice days;
  days.rollups = slice.rollups;
  std::vector<std::vector<TimedRollup>> rollups;
  SLUICE_TRY(read_rollups(days, Tier::kRollup1d, keys, of_series.size(), {}, rollups));
  std::vector<LatestValue> latest;
  for (std::size_t i = 0; i < of_series.size(); ++i) {
    LatestValue value{.metric = of_series[i]->name,
                      .unit = of_series[i]->unit,
                      .type = of_series[i]->type,
                      .time_ms = 0,
                      .value = {},
                      .tier = tier_label(Tier::kWarm)};
    if (!samples[i].empty()) {
      const Sample& last = samples[i].back();
      value.type = last.type;
      value.time_ms = last.timestamp;
      value.value = last.as_value();
    } else if (!rollups[i].empty() && rollups[i].back().rollup.count() != 0) {
      const auto& last = rollups[i].back().rollup.last();
      value.time_ms = last.timestamp;
      value.value = last.value;
      if (value.type == series::ColumnType::kBool) value.value = last.value != 0;
      value.tier = tier_label(Tier::kRollup1d);
    } else {
      continue;
    }
    latest.push_back(std::move(value));
  }
  return latest;
}

}  // namespace sluice::tsdb
