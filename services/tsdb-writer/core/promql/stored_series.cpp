#include "core/promql/stored_series.h"

#include "core/promql/attribute_labels.h"
#include "core/query/planner.h"
#include "core/rollup/rollup_block.h"

#include <algorithm>
#include <array>
#include <format>
#include <iterator>
#include <optional>

namespace sluice::tsdb::promql {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxKeys = 20'000;  // as plan_query()
// More than the writer's own limit lets an attribute have, unless it was raised.
constexpr std::size_t kMaxLabelValues = 100'000;
// Devices looked through for those that a regular expression or an inequality fits.
constexpr std::size_t kScannedPerWanted = 100;
// A little more than a day: Grafana's "last 24 hours" with its look-back is still raw.
constexpr milliseconds kRawSpan = std::chrono::hours(26);

std::unexpected<Error> over_limit(std::string_view limit, std::size_t value,
                                  std::string_view what) {
  return fail(Error(ErrorCode::kInvalidArgument,
                    std::format("the query selects more than {} {} ({})", value, what, limit))
                  .with_reason(std::string(limit)));
}

/// The value that a label must have, if the matchers say so outright.
std::optional<std::string> wanted(const std::vector<Matcher>& matchers, std::string_view label) {
  for (const Matcher& matcher : matchers) {
    if (matcher.label() == label && matcher.kind() == MatchKind::kEqual) return matcher.value();
  }
  return std::nullopt;
}

bool all_match(const std::vector<Matcher>& matchers, const LabelSet& labels) {
  return std::ranges::all_of(matchers,
                             [&](const Matcher& matcher) { return matcher.matches(labels); });
}

/// What the vectors have room for, which is up to twice as much as they hold.
std::size_t held_by(const StoredSeries& series) {
  return series.samples.capacity() * sizeof(TimedValue) +
         series.rollups.capacity() * sizeof(TimedRollup);
}

/// Of the buckets of a sketch, with what the heap takes for itself.
std::size_t heap_bytes(const series::Rollup& rollup) {
  constexpr std::size_t kBucketBytes = 16;
  constexpr std::size_t kOfTheHeap = 16;
  return kOfTheHeap + kBucketBytes * rollup.sketch().bucket_count();
}

LabelSet labels_of(const StoredDevice& device, const std::string& name) {
  auto labels = attribute_labels(device.all_attributes);  // none is called as one of these
  labels.emplace_back(kNameLabel, name);
  labels.emplace_back("device", device.id);
  labels.emplace_back("device_type", device.device_type);
  labels.emplace_back("fleet", device.fleet);
  return LabelSet(std::move(labels));
}

}  // namespace

Tier tier_of(const Selection& selection, WallTime now, const TierRetention& retention) {
  const WallTime from = WallTime(milliseconds(selection.from_ms));
  const bool has_raw = reaches(Tier::kWarm, from, now, retention);
  if (has_raw && milliseconds(selection.to_ms - selection.from_ms) <= kRawSpan) return Tier::kWarm;
  constexpr std::array kCoarsestFirst = {Tier::kRollup1d, Tier::kRollup1h, Tier::kRollup1m};
  std::optional<Tier> finest;
  for (const Tier tier : kCoarsestFirst) {
    if (!reaches(tier, from, now, retention)) continue;
    finest = tier;
    const std::int64_t width = bucket_width(tier).count();
    const bool fits_range = selection.range_ms == 0 || width * 2 <= selection.range_ms;
    if (width <= selection.step_ms && fits_range) return tier;
  }
  if (has_raw) return Tier::kWarm;
  return finest.value_or(Tier::kWarm);
}

Result<std::vector<StoredDevice>> StoredSeriesSource::find_devices(
    const std::vector<Matcher>& matchers) {
  DeviceFilter filter{.ids = {},
                      .fleet = wanted(matchers, "fleet"),
                      .device_type = wanted(matchers, "device_type")};
  if (auto id = wanted(matchers, "device")) filter.ids = std::vector{std::move(*id)};
  filter.with_all_attributes = true;
  SLUICE_TRY(narrow_by_attributes(matchers, filter));
  const std::size_t scanned = limits_.max_devices * kScannedPerWanted;
  SLUICE_TRY_ASSIGN(auto devices, source_.devices(tenant_, filter, scanned + 1));
  if (devices.size() > scanned) return over_limit("query_max_devices", scanned, "devices to scan");
  std::erase_if(devices, [&](const StoredDevice& device) {
    const LabelSet labels = labels_of(device, "");
    return std::ranges::any_of(matchers, [&](const Matcher& matcher) {
      return matcher.label() != kNameLabel && !matcher.matches(labels);
    });
  });
  if (devices.size() > limits_.max_devices) {
    return over_limit("query_max_devices", limits_.max_devices, "devices");
  }
  return devices;
}

/// What the database can decide of them, so that a site of a large fleet is found without looking
/// through all of it.
Result<> StoredSeriesSource::narrow_by_attributes(const std::vector<Matcher>& matchers,
                                                  DeviceFilter& filter) {
  for (const Matcher& matcher : matchers) {
    if (!is_attribute_label(matcher.label()) || matcher.kind() != MatchKind::kEqual ||
        matcher.value().empty()) {
      continue;
    }
    SLUICE_TRY_ASSIGN(auto names, attributes_with_label(matcher.label()));
    filter.attributes_are.push_back({.names = std::move(names), .value = matcher.value()});
  }
  return {};
}

Result<std::vector<std::string>> StoredSeriesSource::attributes_with_label(std::string_view label) {
  SLUICE_TRY_ASSIGN(auto names, source_.attribute_names(tenant_, kMaxKeys));
  std::erase_if(names, [&](const std::string& name) { return label_of_attribute(name) != label; });
  return names;
}

Result<std::set<std::string>> StoredSeriesSource::label_names() {
  SLUICE_TRY_ASSIGN(const auto attributes, source_.attribute_names(tenant_, kMaxKeys));
  std::set<std::string> names{std::string(kNameLabel), "device", "device_type", "fleet"};
  for (const std::string& attribute : attributes) names.insert(label_of_attribute(attribute));
  return names;
}

Result<std::vector<std::string>> StoredSeriesSource::attribute_label_values(
    std::string_view label) {
  SLUICE_TRY_ASSIGN(const auto names, attributes_with_label(label));
  if (names.empty()) return std::vector<std::string>();
  SLUICE_TRY_ASSIGN(auto values, source_.attribute_values(tenant_, names, kMaxLabelValues + 1));
  if (values.size() > kMaxLabelValues) {
    return over_limit("query_max_series", kMaxLabelValues, "values of a label");
  }
  return values;
}

Result<std::vector<StoredSeriesSource::Found>> StoredSeriesSource::find(
    const std::vector<Matcher>& matchers) {
  SLUICE_TRY_ASSIGN(auto devices, find_devices(matchers));
  MetricFilter filter;
  if (auto name = wanted(matchers, kNameLabel)) filter.names = std::vector{std::move(*name)};
  SLUICE_TRY_ASSIGN(const auto metrics, source_.metrics(tenant_, filter, kMaxKeys));
  if (metrics.size() == kMaxKeys) return over_limit("query_max_series", kMaxKeys, "metric keys");
  std::map<std::string, std::map<std::string, std::vector<MetricKey>>> keys_of;  // class, name
  std::map<std::string, std::vector<MetricKey>> all_keys_of;                     // name
  for (const StoredMetric& metric : metrics) {
    if (!is_rolled_up(metric.type)) continue;
    keys_of[metric.device_type][metric.name].push_back(metric.key);
    all_keys_of[metric.name].push_back(metric.key);
  }
  std::vector<Found> found;
  std::size_t series = 0;
  for (StoredDevice& device : devices) {
    Found each{.device = std::move(device), .labels = {}, .keys = {}};
    for (const auto& [name, keys] : keys_of[each.device.device_type]) {
      LabelSet labels = labels_of(each.device, name);
      if (!all_match(matchers, labels)) continue;
      // What the device sent under this name as one of another class belongs to it, too.
      for (const MetricKey key : all_keys_of[name])
        each.keys.emplace(key.value(), each.labels.size());
      each.labels.push_back(std::move(labels));
    }
    series += each.labels.size();
    if (series > limits_.max_series) {
      return over_limit("query_max_series", limits_.max_series, "series");
    }
    if (!each.labels.empty()) found.push_back(std::move(each));
  }
  return found;
}

Result<std::vector<LabelSet>> StoredSeriesSource::labels(const std::vector<Matcher>& matchers) {
  SLUICE_TRY_ASSIGN(auto found, find(matchers));
  std::vector<LabelSet> all;
  for (Found& each : found) std::ranges::move(each.labels, std::back_inserter(all));
  return all;
}

Result<> StoredSeriesSource::read(const Found& found, Tier tier, const Selection& selection,
                                  std::vector<StoredSeries>& out) {
  const std::size_t first = out.size();
  for (const LabelSet& labels : found.labels) {
    out.push_back({.labels = labels,
                   .samples = {},
                   .rollups = {},
                   .bucket_ms = tier == Tier::kWarm ? 0 : bucket_width(tier).count()});
  }
  std::vector<std::vector<Sample>> samples;
  std::vector<std::vector<TimedRollup>> rollups;
  const auto take = [&](series::TimeRange range) -> Result<> {
    SLUICE_TRY(deadline_.check());
    SLUICE_TRY_ASSIGN(const auto slice, source_.read(found.device, tier, range));
    if (tier == Tier::kWarm) {
      SLUICE_TRY(read_samples(slice, found.keys, found.labels.size(), range, samples));
    } else {
      SLUICE_TRY(read_rollups(slice, tier, found.keys, found.labels.size(), range, rollups));
    }
    for (std::size_t i = 0; i < found.labels.size(); ++i) {
      StoredSeries& series = out[first + i];
      const std::size_t before = held_by(series);
      if (tier == Tier::kWarm) {
        for (const Sample& sample : samples[i]) {
          if (is_rolled_up(sample.type)) {
            series.samples.push_back({sample.timestamp, sample.as_double()});
          }
        }
        samples_ += samples[i].size();
      } else {
        for (const TimedRollup& each : rollups[i]) {
          SLUICE_TRY(memory_.hold(heap_bytes(each.rollup)));
        }
        std::ranges::move(rollups[i], std::back_inserter(series.rollups));
        samples_ += rollups[i].size();
      }
      SLUICE_TRY(memory_.hold(held_by(series) - before));
    }
    if (samples_ > limits_.max_promql_samples) {
      return over_limit("query_max_promql_samples", limits_.max_promql_samples, "samples");
    }
    return {};
  };
  // The bucket that from is in has values after it.
  const std::int64_t back = out[first].bucket_ms == 0 ? -1 : out[first].bucket_ms;
  return for_each_stretch(tier, {.from = selection.from_ms - back, .to = selection.to_ms + 1}, take,
                          found.labels.size());
}

Result<std::vector<StoredSeries>> StoredSeriesSource::select(const std::vector<Matcher>& matchers,
                                                             const Selection& selection) {
  if (milliseconds(selection.to_ms - selection.from_ms) > limits_.max_range) {
    return fail(Error(ErrorCode::kInvalidArgument, "the range is too long (query_max_range)")
                    .with_reason("query_max_range"));
  }
  SLUICE_TRY_ASSIGN(const auto found, find(matchers));
  SLUICE_TRY_ASSIGN(const auto retentions, source_.retentions());
  std::vector<StoredSeries> all;
  for (const Found& each : found) {
    const auto kept = std::ranges::find(retentions, each.device.policy, &TierRetention::policy);
    const Tier tier =
        tier_of(selection, clock_.wall(), kept == retentions.end() ? TierRetention{} : *kept);
    tiers_.insert(std::string(tier_label(tier)));
    SLUICE_TRY(read(each, tier, selection, all));
  }
  return all;
}

}  // namespace sluice::tsdb::promql
