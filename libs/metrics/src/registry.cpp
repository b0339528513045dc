#include "cells.h"
#include "naming.h"
#include "process_metrics.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <mutex>
#include <ranges>
#include <variant>

#include <sluice/base/check.h>
#include <sluice/base/utf8.h>
#include <sluice/metrics/metrics.h>

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace sluice {

namespace {

using metrics_detail::CounterCells;
using metrics_detail::GaugeCell;
using metrics_detail::HistogramCells;
using metrics_detail::MetricType;

constexpr std::string_view kOverflow = "overflow";
constexpr std::size_t kMaxLabelValueSize = 128;

using GaugeFunction =
    std::shared_ptr<const std::function<double()>>;  // shared with running scrapes

/// What a series is stored in. Boxes are never removed, so that handles stay good.
using Cells = std::variant<std::unique_ptr<CounterCells>, std::unique_ptr<GaugeCell>,
                           std::unique_ptr<HistogramCells>, GaugeFunction>;

struct Family {
  MetricType type;
  std::string help;
  std::vector<std::string> label_names;  // sorted
  std::map<Labels, Cells> series;
};

[[noreturn]] void misuse(std::string_view metric, std::string_view why) {
  const std::string what = std::string(metric) + " " + std::string(why);
  report_bug(what, __FILE__, __LINE__);
}

/// Sorted by name, so that the order of writing makes no second series; values made printable,
/// since one that is not valid UTF-8 would make Prometheus refuse the whole scrape.
Labels normalise(std::string_view metric, const Labels& labels) {
  Labels out = labels;
  std::ranges::sort(out);
  for (std::size_t i = 0; i < out.size(); ++i) {
    auto& [name, value] = out[i];
    if (const auto fault = metrics_detail::label_name_fault(name); !fault.empty()) {
      misuse(metric, "has a label " + name + " that " + std::string(fault));
    }
    if (i > 0 && out[i - 1].first == name) misuse(metric, "has the label " + name + " twice");
    if (value.size() > kMaxLabelValueSize) value.resize(kMaxLabelValueSize);
    value = replace_invalid_utf8(value);
  }
  return out;
}

prometheus::ClientMetric with_labels(const Labels& labels) {
  prometheus::ClientMetric metric;
  for (const auto& [name, value] : labels) metric.label.push_back({name, value});
  return metric;
}

prometheus::MetricType type_of(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return prometheus::MetricType::Counter;
    case MetricType::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricType::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

prometheus::ClientMetric::Histogram read_histogram(const HistogramCells& cells) {
  prometheus::ClientMetric::Histogram out;
  const std::vector<std::uint64_t> counts = cells.bucket_counts();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    out.sample_count += counts[i];
    const double bound =
        i < cells.bounds.size() ? cells.bounds[i] : std::numeric_limits<double>::infinity();
    out.bucket.push_back({.cumulative_count = out.sample_count, .upper_bound = bound});
  }
  out.sample_sum = cells.sum();
  return out;
}

}  // namespace

struct Registry::Impl {
  mutable std::mutex mutex;  // guards the maps; cells are read and written without it
  std::map<std::string, Family, std::less<>> families;
  bool has_process_metrics = false;

  /// The family of this name, made on first asking. The caller holds the lock.
  Family& family(std::string_view name, std::string_view help, MetricType type,
                 const Labels& labels) {
    auto names = labels | std::views::keys;
    auto it = families.find(name);
    if (it == families.end()) {
      if (const auto fault = metrics_detail::name_fault(name, type); !fault.empty()) {
        misuse(name, fault);
      }
      if (help.empty()) misuse(name, "has no help");
      it = families
               .emplace(std::string(name), Family{.type = type,
                                                  .help = std::string(help),
                                                  .label_names = {names.begin(), names.end()},
                                                  .series = {}})
               .first;
    }
    Family& found = it->second;
    if (found.type != type) misuse(name, "is asked for with two types");
    if (!std::ranges::equal(found.label_names, names)) misuse(name, "has two sets of labels");
    return found;
  }

  /// The cells of one series, made by `make` on first asking.
  template <typename Make>
  Cells& cells(std::string_view name, std::string_view help, MetricType type, const Labels& labels,
               Make make) {
    const Labels key = normalise(name, labels);
    const std::lock_guard lock(mutex);
    Family& found = family(name, help, type, key);
    if (const auto it = found.series.find(key); it != found.series.end()) return it->second;
    if (found.series.size() < kMaxSeriesPerMetric) {
      return found.series.emplace(key, make()).first->second;
    }
    count_dropped(name);
    Labels overflow = key;
    for (auto& [label, value] : overflow) value = kOverflow;
    const auto it = found.series.find(overflow);
    return it != found.series.end() ? it->second
                                    : found.series.emplace(overflow, make()).first->second;
  }

  /// The caller holds the lock, hence not through counter().
  void count_dropped(std::string_view name) {
    const Labels key = {{"metric", std::string(name)}};
    Family& dropped =
        family("sluice_metrics_series_dropped_total",
               "Requests for series past the limit of their metric.", MetricType::kCounter, key);
    auto it = dropped.series.find(key);
    if (it == dropped.series.end()) {
      it = dropped.series.emplace(key, std::make_unique<CounterCells>()).first;
    }
    std::get<std::unique_ptr<CounterCells>>(it->second)->add(1);
  }

  struct Series {
    Labels labels;
    const Cells* cells;
    GaugeFunction function;
  };

  static prometheus::ClientMetric read(const Series& series) {
    prometheus::ClientMetric out = with_labels(series.labels);
    if (series.function != nullptr) {
      out.gauge.value = (*series.function)();
    } else if (const auto* counter = std::get_if<std::unique_ptr<CounterCells>>(series.cells)) {
      out.counter.value = static_cast<double>((*counter)->value());
    } else if (const auto* gauge = std::get_if<std::unique_ptr<GaugeCell>>(series.cells)) {
      out.gauge.value = (*gauge)->value.load(std::memory_order_relaxed);
    } else {
      out.histogram = read_histogram(*std::get<std::unique_ptr<HistogramCells>>(*series.cells));
    }
    return out;
  }
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

Counter Registry::counter(std::string_view name, std::string_view help, const Labels& labels) {
  Cells& cells = impl_->cells(name, help, MetricType::kCounter, labels,
                              [] { return std::make_unique<CounterCells>(); });
  return Counter(std::get<std::unique_ptr<CounterCells>>(cells).get());
}

Gauge Registry::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  Cells& cells = impl_->cells(name, help, MetricType::kGauge, labels,
                              [] { return std::make_unique<GaugeCell>(); });
  auto* cell = std::get_if<std::unique_ptr<GaugeCell>>(&cells);
  if (cell == nullptr) misuse(name, "is a gauge function and asked for as a plain gauge");
  return Gauge(cell->get());
}

void Registry::gauge_function(std::string_view name, std::string_view help, const Labels& labels,
                              std::function<double()> read) {
  const auto function = std::make_shared<const std::function<double()>>(std::move(read));
  Cells& cells = impl_->cells(name, help, MetricType::kGauge, labels, [&] { return function; });
  const std::lock_guard lock(impl_->mutex);
  auto* current = std::get_if<GaugeFunction>(&cells);
  if (current == nullptr) misuse(name, "is a plain gauge and asked for as a gauge function");
  *current = function;
}

Histogram Registry::histogram(std::string_view name, std::string_view help,
                              std::span<const double> bounds, const Labels& labels) {
  if (bounds.empty() || std::ranges::adjacent_find(bounds, std::greater_equal{}) != bounds.end()) {
    misuse(name, "needs bounds that rise");
  }
  Cells& cells = impl_->cells(name, help, MetricType::kHistogram, labels,
                              [&] { return std::make_unique<HistogramCells>(bounds); });
  auto& found = *std::get<std::unique_ptr<HistogramCells>>(cells);
  if (!std::ranges::equal(found.bounds, bounds))
    misuse(name, "is asked for with two sets of bounds");
  return Histogram(&found);
}

void Registry::add_process_metrics() {
  const std::lock_guard lock(impl_->mutex);
  impl_->has_process_metrics = true;
}

std::string Registry::scrape(Functions functions) const {
  // Taken under the lock, read outside it: a gauge function may itself ask the registry for
  // something.
  std::vector<prometheus::MetricFamily> families;
  std::vector<std::vector<Impl::Series>> series;
  bool has_process_metrics = false;
  {
    const std::lock_guard lock(impl_->mutex);
    has_process_metrics = impl_->has_process_metrics;
    for (const auto& [name, family] : impl_->families) {
      families.push_back(
          {.name = name, .help = family.help, .type = type_of(family.type), .metric = {}});
      auto& of_family = series.emplace_back();
      for (const auto& [labels, cells] : family.series) {
        const auto* function = std::get_if<GaugeFunction>(&cells);
        if (function != nullptr && functions == Functions::kSkip) continue;
        of_family.push_back({labels, &cells, function == nullptr ? nullptr : *function});
      }
    }
  }
  for (std::size_t i = 0; i < families.size(); ++i) {
    for (const Impl::Series& one : series[i]) families[i].metric.push_back(Impl::read(one));
  }
  std::erase_if(families, [](const auto& family) { return family.metric.empty(); });
  if (has_process_metrics) metrics_detail::append_process_metrics(families);
  return prometheus::TextSerializer().Serialize(families);
}

std::vector<MetricInfo> Registry::describe() const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<MetricInfo> out;
  for (const auto& [name, family] : impl_->families) {
    out.push_back({.name = name,
                   .type = std::string(metrics_detail::to_string(family.type)),
                   .help = family.help,
                   .label_names = family.label_names});
  }
  return out;
}

}  // namespace sluice
