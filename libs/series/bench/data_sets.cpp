#include "data_sets.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <utility>

namespace sluice::series::bench {
namespace {

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers in every run.
class Engine {
 public:
  using result_type = std::uint64_t;

  explicit Engine(std::uint64_t seed) : state_(seed) {}
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return UINT64_MAX; }
  result_type operator()() {
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }

 private:
  std::uint64_t state_;
};

constexpr std::int64_t kStart = 1'767'225'600'000;  // 2026-01-01
constexpr std::int64_t kPeriod = 10'000;
constexpr std::size_t kRows = 360;

double normal(Engine& engine, double spread) {
  return std::normal_distribution<double>(0, spread)(engine);
}
std::int64_t between(Engine& engine, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(engine);
}
bool chance(Engine& engine, double probability) {
  return std::bernoulli_distribution(probability)(engine);
}
double rounded(double value, double scale) { return std::round(value * scale) / scale; }

std::vector<std::int64_t> times(std::size_t rows, std::int64_t period) {
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < rows; ++i)
    out.push_back(kStart + static_cast<std::int64_t>(i) * period);
  return out;
}

/// A sensor in a room: a slow swing, and noise of half a degree.
std::vector<double> temperature(Engine& engine, std::size_t rows, double scale, double noise) {
  std::vector<double> out;
  const double phase = static_cast<double>(between(engine, 0, 628)) / 100;
  for (std::size_t i = 0; i < rows; ++i) {
    const double swing = 2 * std::sin(phase + static_cast<double>(i) / 120);
    out.push_back(rounded(21 + swing + normal(engine, noise), scale));
  }
  return out;
}

/// A sensor in a tank: what it shows is the last value and a little more or less.
std::vector<double> walked(Engine& engine, double scale, double spread) {
  std::vector<double> out;
  double value = 21;
  for (std::size_t i = 0; i < kRows; ++i) {
    value += normal(engine, spread);
    out.push_back(rounded(value, scale));
  }
  return out;
}

Series one(std::vector<double> values) {
  return {times(values.size(), kPeriod), {std::move(values)}};
}

Series steady(Engine& engine) {
  std::vector<double> values;
  double value = 40;
  for (std::size_t i = 0; i < kRows; ++i) {
    if (!chance(engine, 0.8)) value = rounded(value + normal(engine, 0.8), 10);
    values.push_back(value);
  }
  return one(values);
}

Series counter(Engine& engine) {
  std::vector<double> values;
  auto value = static_cast<double>(between(engine, 100'000, 1'000'000));
  for (std::size_t i = 0; i < kRows; ++i) {
    value += static_cast<double>(between(engine, 0, 1'000));
    values.push_back(value);
  }
  return one(values);
}

Series noise(Engine& engine) {
  std::vector<double> values;
  for (std::size_t i = 0; i < kRows; ++i) values.push_back(21 + normal(engine, 0.5));
  return one(values);
}

Series smooth(Engine& engine) {
  std::vector<double> values;
  const double phase = normal(engine, 1);
  for (std::size_t i = 0; i < kRows; ++i) {
    values.push_back(std::sin(phase + static_cast<double>(i) / 50));
  }
  return one(values);
}

Series floats(Engine& engine) {
  auto values = temperature(engine, kRows, 100, 0.3);
  for (double& value : values) value = static_cast<double>(static_cast<float>(value));
  return one(values);
}

Series jitter(Engine& engine) {
  Series out = one(walked(engine, 10, 0.14));
  for (std::int64_t& timestamp : out.timestamps) timestamp += between(engine, -20, 20);
  return out;
}

/// A vehicle at up to 20 m/s, latitude and longitude in steps of 1e-7 degrees.
Series track(Engine& engine) {
  Series out{times(kRows, kPeriod), {{}, {}}};
  double latitude = 52.52;
  double longitude = 13.405;
  double heading = normal(engine, 3);
  double speed = 12;
  for (std::size_t i = 0; i < kRows; ++i) {
    heading += normal(engine, 0.2);
    speed = std::clamp(speed + normal(engine, 1), 0.0, 20.0);
    latitude += speed * 10 * std::cos(heading) / 111'320;
    longitude += speed * 10 * std::sin(heading) / 67'700;
    out.metrics[0].push_back(rounded(latitude, 1e7));
    out.metrics[1].push_back(rounded(longitude, 1e7));
  }
  return out;
}

Series flags(Engine& engine) {
  std::vector<double> values;
  double value = 1;
  for (std::size_t i = 0; i < kRows; ++i) {
    if (chance(engine, 0.01)) value = 1 - value;
    values.push_back(value);
  }
  return one(values);
}

/// What a device of the field sends: temperature, humidity, pressure and battery in one message.
Series several(Engine& engine, std::size_t rows, std::int64_t period, std::size_t metrics) {
  Series out{times(rows, period), {}};
  out.metrics.push_back(temperature(engine, rows, 10, 0.3));
  out.metrics.push_back(temperature(engine, rows, 1, 2));
  std::vector<double> battery;
  double volts = 3.71;
  for (std::size_t i = 0; i < rows; ++i) {
    if (chance(engine, 0.05)) volts = rounded(volts - 0.01, 100);
    battery.push_back(volts);
  }
  out.metrics.push_back(battery);
  if (metrics > 3) {
    std::vector<double> pressure;
    for (std::size_t i = 0; i < rows; ++i) {
      pressure.push_back(rounded(1013 + static_cast<double>(i) / 300 + normal(engine, 0.2), 10));
    }
    out.metrics.push_back(pressure);
  }
  return out;
}

}  // namespace

std::vector<DataSet> make_data_sets(std::size_t series_count) {
  std::vector<DataSet> sets;
  Engine engine(20'260'101);
  const auto add = [&](std::string name, double ratio, double bytes,
                       const std::function<Series()>& make) {
    DataSet set{std::move(name), ratio, bytes, {}};
    for (std::size_t i = 0; i < series_count; ++i) set.series.push_back(make());
    sets.push_back(std::move(set));
  };
  add("temperature, 0.1 steps", 0.2, 1.37, [&] { return one(walked(engine, 10, 0.14)); });
  add("temperature, 0.01 steps", 0.2, 1.37, [&] { return one(walked(engine, 100, 0.06)); });
  add("0.1 steps, +-20 ms jitter", 0.35, 0, [&] { return jitter(engine); });
  add("80 % unchanged", 0.55, 1.37, [&] { return steady(engine); });
  add("counter", 0.65, 0, [&] { return counter(engine); });
  add("full-mantissa noise", 1.01, 0, [&] { return noise(engine); });
  add("noisy, 0.1 steps", 0.2, 1.37, [&] { return one(temperature(engine, kRows, 10, 0.5)); });
  add("noisy, 0.01 steps", 0.2, 1.37, [&] { return one(temperature(engine, kRows, 100, 0.2)); });
  add("full-mantissa sine", 1.01, 0, [&] { return smooth(engine); });
  add("noise around zero", 1.01, 0, [&] {
    Series out = noise(engine);
    for (double& value : out.metrics[0]) value -= 21;
    return out;
  });
  add("floats, 0.01 steps", 1.01, 0, [&] { return floats(engine); });
  add("GPS track, lat and lon 1e-7", 0, 0, [&] { return track(engine); });
  add("steady flag", 1.01, 0, [&] { return flags(engine); });
  add("4 metrics, 360 rows", 0, 1.37, [&] { return several(engine, kRows, kPeriod, 4); });
  add("3 metrics, 12 rows", 0, 0, [&] { return several(engine, 12, 300'000, 3); });
  return sets;
}

}  // namespace sluice::series::bench
