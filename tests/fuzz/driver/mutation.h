#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::fuzz {

using Input = std::vector<std::uint8_t>;

/// SplitMix64: the same inputs for the same seed.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next();
  /// `bound` must not be 0.
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next() % bound); }

 private:
  std::uint64_t state_;
};

/// One small change without knowledge of what the bytes mean. `other` is an input to take parts of.
void mutate(Input& input, const Input& other, std::size_t max_size, Numbers& numbers);

}  // namespace sluice::fuzz
