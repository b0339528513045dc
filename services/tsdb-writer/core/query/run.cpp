#include "core/query/run.h"

#include "core/query/device_windows.h"
#include "core/query/fill.h"
#include "core/query/planner.h"
#include "core/rollup/rollup_block.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::tsdb {
namespace {

std::int64_t floor_to(std::int64_t value, std::int64_t width) {
  const std::int64_t rest = value % width;
  return value - (rest < 0 ? rest + width : rest);
}

Value value_of(const OpenWindow& window, Aggregate aggregate, ValueKind kind) {
  if (kind == ValueKind::kText) {
    if (aggregate == Aggregate::kFirst) return window.first_text;
    if (aggregate == Aggregate::kLast) return window.last_text;
    return static_cast<std::int64_t>(window.texts);
  }
  if (aggregate == Aggregate::kCount) return static_cast<std::int64_t>(window.numbers.count());
  const auto number = window.numbers.value(aggregate);
  if (!number) return {};
  if (kind == ValueKind::kBool) return *number != 0;
  return *number;
}

class Runner {
 public:
  Runner(SampleSource& source, const QueryPlan& plan, const Deadline& deadline, ResultSink& sink)
      : source_(source), plan_(plan), request_(plan.request), deadline_(deadline), sink_(sink) {}

  Result<> run() {
    SLUICE_TRY(sink_.begin(plan_.head));
    if (plan_.is_raw()) {
      for (const PlannedDevice& device : plan_.devices) SLUICE_TRY(raw(device));
    } else if (request_.group_by) {
      SLUICE_TRY(groups());
    } else if (request_.top) {
      SLUICE_TRY_ASSIGN(const auto ranked, ranked_devices());
      for (const std::size_t place : ranked) SLUICE_TRY(windows(plan_.devices[place]));
    } else {
      for (const PlannedDevice& device : plan_.devices) SLUICE_TRY(windows(device));
    }
    return sink_.end();
  }

 private:
  SeriesHead head_of(const PlannedDevice& device, const PlannedMetric& metric) const {
    return {.device = device.device.id,
            .fleet = device.device.fleet,
            .device_type = device.device.device_type,
            .metric = metric.name,
            .unit = metric.unit,
            .type = series::to_string(metric.type),
            .tier = tier_label(device.tier)};
  }

  /// One metric after the other, each from the first stretch to the last, so that no series has to
  /// wait in memory for the end of another. A range of one stretch is read once.
  Result<> raw(const PlannedDevice& device) {
    std::optional<DeviceSlice> kept;
    series::TimeRange kept_range;
    for (const std::size_t place : device.metrics) {
      SeriesOfMetric keys;
      for (const auto& [key, metric] : plan_.keys) {
        if (metric == place) keys.emplace(key, 0);
      }
      SLUICE_TRY(sink_.begin_series(head_of(device, plan_.metrics[place])));
      std::size_t left = plan_.limit_of_series;
      std::optional<std::int64_t> next_from;
      std::vector<std::vector<Sample>> samples;
      const auto read = [&](series::TimeRange range) -> Result<> {
        if (next_from) return {};
        SLUICE_TRY(deadline_.check());
        if (!kept || kept_range.from != range.from || kept_range.to != range.to) {
          SLUICE_TRY_ASSIGN(kept, source_.read(device.device, device.tier, range));
          kept_range = range;
        }
        SLUICE_TRY(read_samples(*kept, keys, 1, range, samples));
        for (const Sample& sample : samples[0]) {
          if (left-- == 0) {
            next_from = sample.timestamp;
            break;
          }
          const Value value = sample.as_value();
          SLUICE_TRY(sink_.point(sample.timestamp, {&value, 1}));
        }
        return {};
      };
      SLUICE_TRY(for_each_stretch(device.tier, {.from = plan_.from_ms, .to = plan_.to_ms}, read));
      SLUICE_TRY(sink_.end_series(next_from));
    }
    return {};
  }

  Result<> windows(const PlannedDevice& device) {
    std::vector<WindowTable> tables(device.metrics.size());
    DeviceWindows reader(source_, plan_, device, deadline_,
                         [&](std::size_t place, const OpenWindow& window) {
                           WindowTable& table = tables[place];
                           const ValueKind kind = plan_.metrics[device.metrics[place]].kind;
                           table.times.push_back(window.start);
                           for (const Aggregate each : request_.aggregates) {
                             table.values.push_back(value_of(window, each, kind));
                           }
                         });
    SLUICE_TRY(reader.read());
    for (std::size_t i = 0; i < tables.size(); ++i) {
      SLUICE_TRY(tell(head_of(device, plan_.metrics[device.metrics[i]]), tables[i]));
    }
    return {};
  }

  Result<> tell(const SeriesHead& head, const WindowTable& table) {
    SLUICE_TRY(sink_.begin_series(head));
    SLUICE_TRY(tell_filled(table,
                           {.fill = request_.fill,
                            .from = plan_.from_ms,
                            .to = plan_.to_ms,
                            .width = plan_.width_ms,
                            .columns = request_.aggregates.size()},
                           sink_));
    return sink_.end_series(std::nullopt);
  }

  struct Ranked {
    double value;
    std::size_t place;
  };

  /// The first of them by request_.top; ties by place, so that an answer is the same each time.
  std::vector<std::size_t> best_of(std::vector<Ranked> all) const {
    const bool is_lowest = request_.top->is_lowest;
    std::ranges::stable_sort(all, [&](const Ranked& a, const Ranked& b) {
      return is_lowest ? a.value < b.value : a.value > b.value;
    });
    if (all.size() > request_.top->count) all.resize(request_.top->count);
    std::vector<std::size_t> places;
    for (const Ranked& each : all) places.push_back(each.place);
    return places;
  }

  Result<std::vector<std::size_t>> ranked_devices() {
    std::vector<Ranked> all;
    for (std::size_t i = 0; i < plan_.devices.size(); ++i) {
      if (plan_.devices[i].metrics.empty()) continue;
      Window total(plan_.with_quantiles);
      DeviceWindows reader(
          source_, plan_, plan_.devices[i], deadline_,
          [&](std::size_t, const OpenWindow& window) { total.add(window.numbers); });
      SLUICE_TRY(reader.read());
      if (total.is_empty()) continue;
      if (const auto value = total.value(request_.top->by)) all.push_back({*value, i});
    }
    return best_of(std::move(all));
  }

  /// With its place in the map.
  static constexpr std::size_t kGroupedWindowBytes = sizeof(Window) + 64;
  struct Group {
    DeviceGroup labels;
    std::size_t metric = 0;
    Tier finest = Tier::kRollup1d;
    std::map<std::int64_t, Window> windows{};
  };

  Result<> put_together(const OpenWindow& window, Group& group, HeldMemory& memory) const {
    const auto [place, is_new] = group.windows.try_emplace(window.start, plan_.with_quantiles);
    Window& whole = place->second;
    const std::size_t before = is_new ? 0 : kGroupedWindowBytes + whole.heap_bytes();
    whole.add(window.numbers);
    return memory.hold(kGroupedWindowBytes + whole.heap_bytes() - before);
  }

  Result<> groups() {
    HeldMemory memory(plan_.memory);
    std::map<std::pair<std::string, std::size_t>, Group> found;
    for (const PlannedDevice& device : plan_.devices) {
      const DeviceGroup labels = group_of(device.device, request_);
      std::vector<Group*> of_place;
      for (const std::size_t metric : device.metrics) {
        Group& group = found[{labels.key(), metric}];
        group.labels = labels;
        group.metric = metric;
        group.finest = std::min(group.finest, device.tier);
        of_place.push_back(&group);
      }
      Result<> held;
      DeviceWindows reader(source_, plan_, device, deadline_,
                           [&](std::size_t place, const OpenWindow& window) {
                             if (held) held = put_together(window, *of_place[place], memory);
                           });
      SLUICE_TRY(reader.read());
      SLUICE_TRY(held);
    }
    std::vector<Group> all;
    for (auto& [key, group] : found) all.push_back(std::move(group));
    if (!request_.top) {
      for (const Group& group : all) SLUICE_TRY(tell(group));
      return {};
    }
    std::vector<Ranked> ranked;
    for (std::size_t i = 0; i < all.size(); ++i) {
      Window total(plan_.with_quantiles);
      for (const auto& [start, window] : all[i].windows) total.add(window);
      if (total.is_empty()) continue;
      if (const auto value = total.value(request_.top->by)) ranked.push_back({*value, i});
    }
    for (const std::size_t place : best_of(std::move(ranked))) SLUICE_TRY(tell(all[place]));
    return {};
  }

  Result<> tell(const Group& group) {
    const PlannedMetric& metric = plan_.metrics[group.metric];
    WindowTable table;
    for (const auto& [start, window] : group.windows) {
      OpenWindow whole(plan_.with_quantiles);
      whole.numbers = window;
      table.times.push_back(start);
      for (const Aggregate each : request_.aggregates) {
        table.values.push_back(value_of(whole, each, metric.kind));
      }
    }
    return tell(SeriesHead{.device = {},
                           .fleet = group.labels.fleet,
                           .device_type = group.labels.device_type,
                           .metric = metric.name,
                           .unit = metric.unit,
                           .type = series::to_string(metric.type),
                           .tier = tier_label(group.finest),
                           .attributes = group.labels.attributes},
                table);
  }

  SampleSource& source_;
  const QueryPlan& plan_;
  const QueryRequest& request_;
  const Deadline& deadline_;
  ResultSink& sink_;
};

}  // namespace

Result<> Deadline::check() const {
  if (clock_.mono() < ends_) return {};
  return fail(Error(ErrorCode::kDeadlineExceeded, "the query takes longer than query_timeout")
                  .with_reason("query_timeout"));
}

std::chrono::milliseconds stretch_of(Tier tier, std::size_t series) {
  using std::chrono::days;
  using std::chrono::hours;
  using std::chrono::milliseconds;
  struct Shape {
    milliseconds longest;
    milliseconds row;    // no shorter, lest a row be read twice
    milliseconds value;  // between two; of raw ones guessed
    std::size_t bytes;   // of a value, decoded
  };
  constexpr std::size_t kRollupBytes = sizeof(TimedRollup) + 32;
  Shape shape{days(1), hours(1), std::chrono::seconds(1), sizeof(Sample)};
  if (tier == Tier::kRollup1m) shape = {days(7), hours(1), bucket_width(tier), kRollupBytes};
  if (tier == Tier::kRollup1h) shape = {days(400), days(1), bucket_width(tier), kRollupBytes};
  if (tier == Tier::kRollup1d) shape = {days(7'300), days(30), bucket_width(tier), kRollupBytes};
  constexpr std::size_t kBytesAtOnce = std::size_t{32} << 20;
  const auto values =
      static_cast<std::int64_t>(kBytesAtOnce / (shape.bytes * std::max(series, std::size_t{1})));
  const milliseconds fitting = std::min(shape.longest, shape.value * values);
  return std::max(shape.row, fitting - fitting % shape.row);
}

Result<> for_each_stretch(Tier tier, series::TimeRange range,
                          const std::function<Result<>(series::TimeRange)>& each,
                          std::size_t series) {
  const std::int64_t length = stretch_of(tier, series).count();
  for (std::int64_t at = range.from; at < range.to;) {
    const std::int64_t end = std::min(range.to, floor_to(at, length) + length);
    SLUICE_TRY(each({.from = at, .to = end}));
    at = end;
  }
  return {};
}

Result<> run_query(SampleSource& source, const QueryPlan& plan, const Deadline& deadline,
                   ResultSink& sink) {
  return Runner(source, plan, deadline, sink).run();
}

}  // namespace sluice::tsdb
