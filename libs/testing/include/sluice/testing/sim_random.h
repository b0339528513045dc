#pragma once

#include <array>
#include <cstdint>

#include <sluice/base/random.h>

namespace sluice::testing {

/// Repeatable randomness: the same seed gives the same numbers on every machine and compiler, for
/// ever, so that the seed which a failing run prints repeats it.
///
/// xoshiro256** 1.0 (Blackman and Vigna, 2018), its four words of state filled by SplitMix64 from
/// the seed: about a nanosecond a number. Not for secrets. One owner thread.
class SimRandom final : public Random {
 public:
  explicit SimRandom(std::uint64_t seed);

  std::uint64_t next() override;

  /// An independent generator for a part of the simulation, so that parts do not disturb each
  /// other's numbers: takes one number from this one as the seed.
  SimRandom fork() { return SimRandom(next()); }
  /// True with this probability, 0 to 1.
  bool chance(double probability);
  /// Uniform in [low, high].
  std::int64_t between(std::int64_t low, std::int64_t high);

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace sluice::testing
