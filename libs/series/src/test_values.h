#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <sluice/base/encoding.h>

// Values that the tests of this library share: what is ordinary, and everything that is not.
namespace sluice::series::testing {

using Engine = std::mt19937_64;

inline std::uint64_t below(Engine& engine, std::uint64_t bound) { return engine() % bound; }

inline const std::vector<double>& special_doubles() {
  using Limits = std::numeric_limits<double>;
  static const std::vector<double> kValues = {
      0.0,
      -0.0,
      Limits::infinity(),
      -Limits::infinity(),
      Limits::quiet_NaN(),
      std::bit_cast<double>(0x7ff0000000000001ULL),  // a signalling NaN
      std::bit_cast<double>(0xfff8dead0000beefULL),  // a payload
      Limits::denorm_min(),
      -Limits::denorm_min(),
      Limits::min(),
      Limits::max(),
      Limits::lowest(),
      Limits::epsilon(),
      0.1,
      0.1 + 0.2,
      1e15,
      1e22,
      1e-7,
      9007199254740993.0,
      -21.7};
  return kValues;
}

/// One of the shapes that series have: decimals, walks, counters, noise, floats, repeats, chaos.
inline std::vector<double> any_doubles(Engine& engine, std::size_t count) {
  std::vector<double> values;
  const std::uint64_t shape = below(engine, 8);
  const double scale = std::pow(10, static_cast<double>(below(engine, 8)));
  std::normal_distribution<double> normal(0, 1);
  double value = normal(engine) * 100;
  for (std::size_t i = 0; i < count; ++i) {
    if (shape == 6 && below(engine, 5) != 0) {
      values.push_back(values.empty() ? value : values.back());
      continue;
    }
    value += normal(engine);
    double next = value;
    if (shape < 3) next = std::round(value * scale) / scale;
    if (shape == 3) next = static_cast<double>(static_cast<float>(std::round(value * 10) / 10));
    if (shape == 4) next = std::bit_cast<double>(engine());
    if (shape == 5) next = normal(engine);
    if (below(engine, 40) == 0 && (shape == 1 || shape > 3)) {
      next = special_doubles()[below(engine, special_doubles().size())];
    }
    values.push_back(next);
  }
  return values;
}

inline std::vector<std::uint64_t> any_integers(Engine& engine, std::size_t count) {
  std::vector<std::uint64_t> values;
  const std::uint64_t shape = below(engine, 7);
  const auto bits = static_cast<unsigned>(1 + below(engine, 63));
  std::uint64_t value = engine();
  std::uint64_t step = below(engine, 100'000);
  for (std::size_t i = 0; i < count; ++i) {
    if (shape == 0) value = engine() >> bits;
    if (shape == 1) value += below(engine, 1000);
    if (shape == 2) value += step + below(engine, 3);
    if (shape == 3 && below(engine, 6) == 0) value += engine() >> bits;
    if (shape == 4) value += step + (below(engine, 30) == 0 ? engine() : 0);  // outliers
    if (shape == 5) value = below(engine, 2) == 0 ? 0x8000000000000000ULL : 0x7fffffffffffffffULL;
    if (shape == 6) value += step += below(engine, 5);
    values.push_back(value);
  }
  return values;
}

inline std::vector<std::int64_t> any_timestamps(Engine& engine, std::size_t count) {
  std::vector<std::int64_t> values;
  const std::uint64_t jitter = below(engine, 3) == 0 ? 1 : 1 + below(engine, 200);
  std::int64_t at = 1'700'000'000'000;
  for (std::size_t i = 0; i < count; ++i) {
    at += 1000 + static_cast<std::int64_t>(below(engine, jitter));
    if (below(engine, 50) == 0) at += 60'000;
    values.push_back(at);
  }
  return values;
}

inline std::string hex(std::span<const std::byte> bytes) {
  return to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

inline bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::bit_cast<std::uint64_t>(a[i]) != std::bit_cast<std::uint64_t>(b[i])) return false;
  }
  return true;
}

}  // namespace sluice::series::testing
