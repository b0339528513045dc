#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace sluice {

/// Randomness as a parameter. A UniformRandomBitGenerator, so that <random>'s distributions take
/// it.
class Random {
 public:
  using result_type = std::uint64_t;

  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;

  std::uint64_t operator()() { return next(); }
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }

  /// Uniform in [0, bound); bound must not be 0.
  std::uint64_t below(std::uint64_t bound);
  void fill(std::span<std::byte> out);
};

/// The kernel's generator, fit for secrets. Thread-safe.
class SystemRandom final : public Random {
 public:
  std::uint64_t next() override;
};

}  // namespace sluice
