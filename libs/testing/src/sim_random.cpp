#include <sluice/testing/sim_random.h>

#include <bit>

#include <sluice/base/check.h>

namespace sluice::testing {
namespace {

/// SplitMix64 (Steele, Lea and Flood, 2014), which xoshiro's authors advise for seeding.
std::uint64_t split_mix(std::uint64_t& state) {
  state += 0x9E3779B97F4A7C15U;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

}  // namespace

SimRandom::SimRandom(std::uint64_t seed) {
  for (std::uint64_t& word : state_) word = split_mix(seed);
}

std::uint64_t SimRandom::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

bool SimRandom::chance(double probability) {
  // The upper 53 bits, as many as a double holds: uniform in [0, 1).
  return static_cast<double>(next() >> 11) * 0x1.0p-53 < probability;
}

std::int64_t SimRandom::between(std::int64_t low, std::int64_t high) {
  SLUICE_CHECK(low <= high);
  // Unsigned arithmetic wraps, so that the widest range works too.
  const std::uint64_t size = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
  const std::uint64_t offset = size == 0 ? next() : below(size);
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + offset);
}

}  // namespace sluice::testing
