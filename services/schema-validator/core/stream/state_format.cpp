#include "core/stream/state_format.h"

#include "core/stream/little_endian.h"

#include <bit>
#include <cmath>

namespace sluice::validator {
namespace {

constexpr std::size_t kMetricBytes = 40;

void put_time(std::int64_t value, std::string& out) {
  put_little_endian(static_cast<std::uint64_t>(value), out);
}

bool take_time(std::string_view& in, std::int64_t& value) {
  std::uint64_t bits = 0;
  if (!take_little_endian(in, bits)) return false;
  value = static_cast<std::int64_t>(bits);
  return true;
}

void write_metric(const MetricState& metric, std::string& out) {
  put_little_endian(std::bit_cast<std::uint64_t>(metric.mean), out);
  put_little_endian(std::bit_cast<std::uint64_t>(metric.last), out);
  put_time(metric.time_ms, out);
  put_little_endian(std::bit_cast<std::uint32_t>(metric.spread), out);
  put_little_endian(metric.key, out);
  put_little_endian(metric.same_seconds, out);
  put_little_endian(metric.same_count, out);
  put_little_endian(metric.count, out);
  put_little_endian(metric.unusual_run, out);
}

bool read_metric(std::string_view& in, MetricState& metric) {
  std::uint64_t mean = 0;
  std::uint64_t last = 0;
  std::uint32_t spread = 0;
  if (!take_little_endian(in, mean) || !take_little_endian(in, last) ||
      !take_time(in, metric.time_ms) || !take_little_endian(in, spread) ||
      !take_little_endian(in, metric.key) || !take_little_endian(in, metric.same_seconds) ||
      !take_little_endian(in, metric.same_count) || !take_little_endian(in, metric.count) ||
      !take_little_endian(in, metric.unusual_run)) {
    return false;
  }
  metric.mean = std::bit_cast<double>(mean);
  metric.last = std::bit_cast<double>(last);
  metric.spread = std::bit_cast<float>(spread);
  return std::isfinite(metric.mean) && std::isfinite(metric.last) && std::isfinite(metric.spread) &&
         metric.spread >= 0 && metric.key != 0;
}

bool read_clock(std::string_view& in, ClockEstimate& clock) {
  ClockEstimate::State state;
  if (!take_time(in, state.window_start_ms) || !take_time(in, state.current_min_ms) ||
      !take_time(in, state.previous_min_ms) || !take_little_endian(in, state.observations) ||
      !take_little_endian(in, state.current_observations)) {
    return false;
  }
  // Has no opposite, and observe() never leaves it.
  if (state.current_min_ms == INT64_MIN || state.previous_min_ms == INT64_MIN) return false;
  if (state.current_observations > state.observations) return false;
  clock.restore(state);
  return true;
}

}  // namespace

void write_state(const DeviceState& state, std::string& out) {
  put_little_endian(kStateVersion, out);
  put_little_endian(static_cast<std::uint8_t>(state.window ? 1 : 0), out);
  const ClockEstimate::State& clock = state.clock.state();
  put_time(clock.window_start_ms, out);
  put_time(clock.current_min_ms, out);
  put_time(clock.previous_min_ms, out);
  put_little_endian(clock.observations, out);
  put_little_endian(clock.current_observations, out);
  put_little_endian(static_cast<std::uint16_t>(state.metrics.size()), out);
  for (const MetricState& metric : state.metrics) write_metric(metric, out);
  if (state.window) state.window->serialise(out);
}

bool read_state(std::string_view bytes, std::size_t window_size, std::size_t max_metrics,
                DeviceState& state) {
  std::uint8_t version = 0;
  std::uint8_t has_window = 0;
  std::uint16_t metrics = 0;
  if (!take_little_endian(bytes, version) || version != kStateVersion ||
      !take_little_endian(bytes, has_window) || has_window > 1 || !read_clock(bytes, state.clock) ||
      !take_little_endian(bytes, metrics) || metrics > bytes.size() / kMetricBytes) {
    return false;
  }
  state.metrics.clear();
  for (std::uint16_t i = 0; i < metrics; ++i) {
    MetricState metric;
    if (!read_metric(bytes, metric)) return false;
    if (state.metrics.size() < max_metrics) state.metrics.push_back(metric);
  }
  state.window.reset();
  if (has_window == 1) {
    state.window = std::make_unique<SequenceWindow>(window_size);
    if (!state.window->restore(bytes)) return false;
  }
  return bytes.empty();
}

}  // namespace sluice::validator
