#include "testing/stored_history.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <span>
#include <stdexcept>

#include <sluice/series/chunk_builder.h>

namespace sluice::tsdb::testing {
namespace {

WallTime time_of(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }
std::int64_t ms_of(WallTime time) { return time.time_since_epoch().count(); }

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

series::ColumnType type_of(const Sent& sent) {
  switch (sent.value.index()) {
    case 0:
      return series::ColumnType::kDouble;
    case 1:
      return series::ColumnType::kInt64;
    case 2:
      return series::ColumnType::kBool;
    default:
      return series::ColumnType::kString;
  }
}

/// One value for a metric and a time: the last.
std::map<std::pair<std::int32_t, std::int64_t>, Sent> overridden(const std::vector<Sent>& sent) {
  std::map<std::pair<std::int32_t, std::int64_t>, Sent> values;
  for (const Sent& each : sent) values[{each.metric.value(), each.time_ms}] = each;
  return values;
}

double number_of(const Sent& sent) {
  if (const auto* number = std::get_if<double>(&sent.value)) return *number;
  if (const auto* integer = std::get_if<std::int64_t>(&sent.value)) {
    return static_cast<double>(*integer);
  }
  return std::get<bool>(sent.value) ? 1 : 0;
}

}  // namespace

std::string chunk_of(const std::vector<Sent>& sent) {
  series::ChunkBuilder builder(kChunkLimits);
  for (const Sent& each : sent) {
    const auto column = builder.column(column_of_metric(each.metric), type_of(each)).value();
    if (const auto* text = std::get_if<std::string>(&each.value)) {
      builder.add(column, each.time_ms, std::string_view(*text));
    } else if (const auto* number = std::get_if<double>(&each.value)) {
      builder.add(column, each.time_ms, *number);
    } else if (const auto* integer = std::get_if<std::int64_t>(&each.value)) {
      builder.add(column, each.time_ms, *integer);
    } else {
      builder.add(column, each.time_ms, std::get<bool>(each.value));
    }
  }
  std::vector<std::byte> bytes;
  if (!builder.build(bytes)) throw std::runtime_error("no chunk");
  return text_of(bytes);
}

std::string rollups_of(Tier tier, const std::vector<Sent>& sent) {
  RollupBlock block;
  for (const auto& [place, each] : overridden(sent)) {
    if (!is_rolled_up(type_of(each))) continue;
    block[{each.metric, rollup_bucket_of(tier, time_of(each.time_ms))}].add(each.time_ms,
                                                                            number_of(each));
  }
  if (block.empty()) return {};
  std::vector<std::byte> bytes;
  encode_rollup_block(block, bytes);
  return text_of(bytes);
}

void StoredHistory::compact(const std::vector<Sent>& sent) {
  warm_.insert(warm_.end(), sent.begin(), sent.end());
  compact_and_drop_raw(sent);
}

void StoredHistory::compact_and_drop_raw(const std::vector<Sent>& sent) {
  rolled_up_.insert(rolled_up_.end(), sent.begin(), sent.end());
  rows_.clear();
}

void StoredHistory::flush(const std::vector<Sent>& sent) {
  std::map<std::int64_t, std::vector<Sent>> of_hour;
  for (const Sent& each : sent) {
    of_hour[ms_of(event_hour_of(time_of(each.time_ms)))].push_back(each);
  }
  for (const auto& [hour, values] : of_hour) {
    fresh_.push_back({.start = time_of(hour), .bytes = chunk_of(values)});
  }
}

const std::map<std::int64_t, std::string>& StoredHistory::rows(Tier tier) const {
  auto [cached, is_new] = rows_.try_emplace(tier);
  auto& rows = cached->second;
  if (!is_new) return rows;
  std::map<std::int64_t, std::vector<Sent>> of_row;
  for (const Sent& each : tier == Tier::kWarm ? warm_ : rolled_up_) {
    const WallTime time = time_of(each.time_ms);
    const WallTime row = tier == Tier::kWarm ? event_hour_of(time) : rollup_row_of(tier, time);
    of_row[ms_of(row)].push_back(each);
  }
  for (const auto& [start, sent] : of_row) {
    std::string bytes = tier == Tier::kWarm ? chunk_of(sent) : rollups_of(tier, sent);
    if (!bytes.empty()) rows.emplace(start, std::move(bytes));
  }
  return rows;
}

DeviceSlice StoredHistory::read(Tier tier, series::TimeRange range) const {
  DeviceSlice slice;
  std::set<std::int64_t> hours;
  std::set<std::int64_t> days;
  if (tier == Tier::kRollup1d) {
    range.from = ms_of(std::chrono::floor<std::chrono::days>(time_of(range.from)));
    range.to = ms_of(std::chrono::ceil<std::chrono::days>(time_of(range.to)));
  }
  for (const StoredRow& row : fresh_) {
    if (ms_of(row.start) + 3'600'000 <= range.from || ms_of(row.start) >= range.to) continue;
    slice.fresh.push_back(row);
    hours.insert(ms_of(row.start));
    days.insert(ms_of(std::chrono::floor<std::chrono::days>(row.start)));
  }
  for (const auto& [start, bytes] : rows(Tier::kWarm)) {
    if (start + 3'600'000 <= range.from || start >= range.to) continue;
    if (tier == Tier::kWarm || hours.contains(start)) {
      slice.warm.push_back({.start = time_of(start), .bytes = bytes});
    }
  }
  if (tier == Tier::kWarm) return slice;
  for (const auto& [start, bytes] : rows(tier)) {
    if (start < range.to) slice.rollups.push_back({.start = time_of(start), .bytes = bytes});
  }
  if (tier != Tier::kRollup1d) return slice;
  for (const auto& [start, bytes] : rows(Tier::kRollup1h)) {
    if (days.contains(start)) {
      slice.hours_of_days.push_back({.start = time_of(start), .bytes = bytes});
    }
  }
  return slice;
}

FakeSampleSource::Device& FakeSampleSource::add_device(const std::string& tenant,
                                                       const std::string& id,
                                                       const std::string& fleet,
                                                       const std::string& device_type) {
  const auto key = static_cast<std::int64_t>(devices_.size()) + 1;
  devices_.push_back(std::make_unique<Device>(Device{.tenant = tenant,
                                                     .stored = {.key = DeviceKey(key),
                                                                .id = id,
                                                                .fleet = fleet,
                                                                .device_type = device_type,
                                                                .policy = PolicyId(1)},
                                                     .history = {}}));
  return *devices_.back();
}

MetricKey FakeSampleSource::add_metric(const std::string& tenant, const std::string& name,
                                       series::ColumnType type, const std::string& device_type) {
  const MetricKey key(static_cast<std::int32_t>(metrics_.size()) + 1);
  metrics_.push_back(
      {.tenant = tenant,
       .stored = {
           .key = key, .device_type = device_type, .name = name, .unit = "u", .type = type}});
  return key;
}

Result<std::vector<StoredDevice>> FakeSampleSource::devices(const TenantId& tenant,
                                                            const DeviceFilter& filter,
                                                            std::size_t limit) {
  std::vector<StoredDevice> found;
  for (const auto& device : devices_) {
    const StoredDevice& stored = device->stored;
    if (device->tenant != tenant.value()) continue;
    if (filter.ids && !std::ranges::contains(*filter.ids, stored.id)) continue;
    if (filter.fleet && stored.fleet != *filter.fleet) continue;
    if (filter.device_type && stored.device_type != *filter.device_type) continue;
    const auto has = [&](const DeviceFilter::AttributeIs& wanted) {
      return std::ranges::any_of(wanted.names, [&](const std::string& name) {
        const auto value = device->attributes.find(name);
        return value != device->attributes.end() && value->second == wanted.value;
      });
    };
    if (!std::ranges::all_of(filter.attributes_are, has)) continue;
    found.push_back(stored);
    if (filter.with_all_attributes) found.back().all_attributes = device->attributes;
    for (const std::string& name : filter.attributes) {
      const auto value = device->attributes.find(name);
      found.back().attributes.push_back(value == device->attributes.end() ? "" : value->second);
    }
  }
  std::ranges::sort(found, {}, &StoredDevice::id);
  if (found.size() > limit) found.resize(limit);
  return found;
}

Result<std::vector<StoredMetric>> FakeSampleSource::metrics(const TenantId& tenant,
                                                            const MetricFilter& filter,
                                                            std::size_t limit) {
  std::vector<StoredMetric> found;
  for (const Metric& metric : metrics_) {
    const StoredMetric& stored = metric.stored;
    if (metric.tenant != tenant.value()) continue;
    if (filter.names && !std::ranges::contains(*filter.names, stored.name)) continue;
    if (filter.device_types && !std::ranges::contains(*filter.device_types, stored.device_type)) {
      continue;
    }
    if (filter.after && stored.name <= *filter.after) continue;
    found.push_back(stored);
  }
  std::ranges::stable_sort(found, {}, &StoredMetric::name);
  if (found.size() > limit) found.resize(limit);
  return found;
}

Result<std::vector<std::string>> FakeSampleSource::attribute_names(const TenantId& tenant,
                                                                   std::size_t limit) {
  std::set<std::string> names;
  for (const auto& device : devices_) {
    if (device->tenant != tenant.value()) continue;
    for (const auto& [name, value] : device->attributes) names.insert(name);
  }
  std::vector<std::string> found(names.begin(), names.end());
  if (found.size() > limit) found.resize(limit);
  return found;
}

Result<std::vector<std::string>> FakeSampleSource::attribute_values(
    const TenantId& tenant, const std::vector<std::string>& names, std::size_t limit) {
  std::set<std::string> values;
  for (const auto& device : devices_) {
    if (device->tenant != tenant.value()) continue;
    for (const auto& [name, value] : device->attributes) {
      if (std::ranges::contains(names, name)) values.insert(value);
    }
  }
  std::vector<std::string> found(values.begin(), values.end());
  if (found.size() > limit) found.resize(limit);
  return found;
}

Result<DeviceSlice> FakeSampleSource::read(const StoredDevice& device, Tier tier,
                                           series::TimeRange range) {
  ++reads;
  const auto& history = devices_[static_cast<std::size_t>(device.key.value()) - 1]->history;
  DeviceSlice slice = history.read(tier, range);
  largest_slice = std::max(largest_slice, slice.bytes());
  return slice;
}

Result<DeviceSlice> FakeSampleSource::read_newest(const StoredDevice& device, std::size_t rows) {
  const auto& history = devices_[static_cast<std::size_t>(device.key.value()) - 1]->history;
  DeviceSlice slice;
  slice.fresh = history.fresh();
  const auto take = [&](Tier tier, std::vector<StoredRow>& into) {
    for (const auto& [start, bytes] : history.rows(tier)) {
      into.push_back({.start = time_of(start), .bytes = bytes});
    }
    if (into.size() > rows) into.erase(into.begin(), into.end() - static_cast<long>(rows));
  };
  take(Tier::kWarm, slice.warm);
  take(Tier::kRollup1d, slice.rollups);
  return slice;
}

}  // namespace sluice::tsdb::testing
