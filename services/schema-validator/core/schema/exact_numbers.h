#pragma once

#include <cmath>
#include <cstdint>

namespace sluice::validator {

inline constexpr double kTwoTo63 = 9'223'372'036'854'775'808.0;

inline bool is_int64(double value) {
  return value >= -kTwoTo63 && value < kTwoTo63 && std::trunc(value) == value;
}
/// Whether a double tells this integer from its neighbours.
inline bool is_exact(std::int64_t value) {
  const auto number = static_cast<double>(value);
  return number < kTwoTo63 && static_cast<std::int64_t>(number) == value;
}

}  // namespace sluice::validator
