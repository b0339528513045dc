#include "core/query/device_windows.h"

#include <map>
#include <utility>

namespace sluice::tsdb {
namespace {

std::int64_t floor_to(std::int64_t value, std::int64_t width) {
  const std::int64_t rest = value % width;
  return value - (rest < 0 ? rest + width : rest);
}

}  // namespace

DeviceWindows::DeviceWindows(SampleSource& source, const QueryPlan& plan,
                             const PlannedDevice& device, const Deadline& deadline, TakeWindow take)
    : source_(source),
      plan_(plan),
      device_(device),
      deadline_(deadline),
      take_(std::move(take)),
      open_(device.metrics.size(), OpenWindow(plan.with_quantiles)) {
  std::map<std::size_t, std::size_t> place_of;
  for (std::size_t i = 0; i < device.metrics.size(); ++i) place_of[device.metrics[i]] = i;
  for (const auto& [key, metric] : plan.keys) {
    if (const auto found = place_of.find(metric); found != place_of.end()) {
      keys_.emplace(key, found->second);
    }
  }
}

Result<> DeviceWindows::read() {
  const auto read_one = [&](series::TimeRange range) -> Result<> {
    SLUICE_TRY(deadline_.check());
    return read(range);
  };
  SLUICE_TRY(for_each_stretch(device_.tier, {.from = plan_.from_ms, .to = plan_.to_ms}, read_one,
                              open_.size()));
  for (std::size_t i = 0; i < open_.size(); ++i) close(i);
  return {};
}

Result<> DeviceWindows::read(series::TimeRange range) {
  SLUICE_TRY_ASSIGN(const auto slice, source_.read(device_.device, device_.tier, range));
  if (device_.tier != Tier::kWarm) {
    SLUICE_TRY(read_rollups(slice, device_.tier, keys_, open_.size(), range, rollups_));
    for (std::size_t i = 0; i < open_.size(); ++i) {
      for (const TimedRollup& bucket : rollups_[i]) {
        window_at(i, bucket.start).numbers.add(bucket.rollup);
      }
    }
    return {};
  }
  SLUICE_TRY(read_samples(slice, keys_, open_.size(), range, samples_));
  for (std::size_t i = 0; i < open_.size(); ++i) {
    const bool is_text = plan_.metrics[device_.metrics[i]].kind == ValueKind::kText;
    for (const Sample& sample : samples_[i]) {
      const bool is_number =
          sample.type != series::ColumnType::kString && sample.type != series::ColumnType::kBytes;
      if (is_number == is_text) continue;
      OpenWindow& window = window_at(i, sample.timestamp);
      if (is_number) {
        window.numbers.add(sample.timestamp, sample.as_double());
      } else {
        if (window.texts++ == 0) window.first_text = sample.as_value();
        window.last_text = sample.as_value();
      }
    }
  }
  return {};
}

OpenWindow& DeviceWindows::window_at(std::size_t place, std::int64_t time) {
  OpenWindow& window = open_[place];
  if (window.is_open && time < window.start + plan_.width_ms) return window;
  close(place);
  window.is_open = true;
  window.start = floor_to(time, plan_.width_ms);
  return window;
}

void DeviceWindows::close(std::size_t place) {
  OpenWindow& window = open_[place];
  if (!window.is_open) return;
  if (!window.numbers.is_empty() || window.texts != 0) take_(place, window);
  window.is_open = false;
  window.numbers.clear();
  window.texts = 0;
}

}  // namespace sluice::tsdb
