#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/strong_id.h>

namespace sluice {

/// Label names and values of one series. Never a device id: labels are for causes, not for things.
using Labels = std::vector<std::pair<std::string, std::string>>;

namespace metrics_detail {
struct CounterCells;
struct HistogramCells;
struct GaugeCell;
}  // namespace metrics_detail

/// Only goes up. A handle to cells that each thread owns one of: add() is a relaxed store to memory
/// no other thread writes (threads past the 32nd share one cell by atomic addition), and reading
/// sums the cells. Copyable; lives as long as its Registry. Thread-safe, as all handles are.
class Counter {
 public:
  void add(std::uint64_t count = 1);
  std::uint64_t value() const;

 private:
  friend class Registry;
  explicit Counter(metrics_detail::CounterCells* cells) : cells_(cells) {}
  metrics_detail::CounterCells* cells_;
};

/// A value that goes both ways. Copyable; lives as long as its Registry.
class Gauge {
 public:
  void set(double value);
  void add(double delta);
  double value() const;

 private:
  friend class Registry;
  explicit Gauge(metrics_detail::GaugeCell* cell) : cell_(cell) {}
  metrics_detail::GaugeCell* cell_;
};

/// Counts observations by upper bound, in per-thread cells like Counter.
class Histogram {
 public:
  /// NaN is no observation and is left out.
  void observe(double value);
  std::uint64_t count() const;
  double sum() const;

 private:
  friend class Registry;
  explicit Histogram(metrics_detail::HistogramCells* cells) : cells_(cells) {}
  metrics_detail::HistogramCells* cells_;
};

/// What a metric is, for people: written to `# HELP` and to the generated tables of each README.
struct MetricInfo {
  std::string name;
  std::string type;  // counter, gauge, histogram
  std::string help;
  std::vector<std::string> label_names;
};

/// Series of one metric; one more would be a label that carries things instead of causes.
inline constexpr std::size_t kMaxSeriesPerMetric = 1000;

/// All metrics of one process. Names begin with `sluice_`, counters alone end in `_total`, units
/// are spelled out (`_seconds`, `_bytes`), a metric has one type, help and set of label names, and
/// no label is called after a device: what breaks these rules is a bug and aborts. Asking again for
/// the same name and labels gives the same series. Past kMaxSeriesPerMetric the handle is that of
/// the one series whose label values are all "overflow", and `sluice_metrics_series_dropped_total`
/// rises. Thread-safe; asking takes a lock, so keep the handles.
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  Counter counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  /// A gauge whose value is asked for at each scrape; the function must be quick and thread-safe.
  /// Asked for again, the last function counts.
  void gauge_function(std::string_view name, std::string_view help, const Labels& labels,
                      std::function<double()> read);
  Histogram histogram(std::string_view name, std::string_view help, std::span<const double> bounds,
                      const Labels& labels = {});

  /// `process_cpu_seconds_total` and its kin under their usual names, read from /proc at each
  /// scrape.
  void add_process_metrics();

  /// Gauge functions may refer to what lives shorter than the registry; whoever scrapes knows
  /// whether they may be called now.
  enum class Functions { kCall, kSkip };
  /// Everything in Prometheus' text format.
  std::string scrape(Functions functions = Functions::kCall) const;
  std::vector<MetricInfo> describe() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// 0.5 ms to 10 s, for requests and stores.
std::span<const double> latency_buckets_seconds();

}  // namespace sluice
