#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <sluice/base/random.h>

namespace sluice::mqtt {

/// SplitMix64: the same numbers for the same seed, so that a failure can be repeated.
class TestRandom final : public Random {
 public:
  explicit TestRandom(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() override {
    std::uint64_t value = state_ += 0x9E37'79B9'7F4A'7C15U;
    value = (value ^ value >> 30) * 0xBF58'476D'1CE4'E5B9U;
    value = (value ^ value >> 27) * 0x94D0'49BB'1331'11EBU;
    return value ^ value >> 31;
  }

 private:
  std::uint64_t state_;
};

/// One to `max_levels` levels of an alphabet so small that chance makes matches: empty levels and
/// `$` included.
inline std::string random_topic(Random& random, std::uint64_t max_levels = 4) {
  static constexpr const char* kLevels[] = {"a", "b", "c", "", "$s", "a longer level of a topic"};
  std::string topic;
  for (std::uint64_t left = 1 + random.below(max_levels); left > 0; --left) {
    topic += kLevels[random.below(std::size(kLevels))];
    if (left > 1) topic += '/';
  }
  return topic.empty() ? "/" : topic;
}

/// The same with wildcards where they may stand.
inline std::string random_filter(Random& random, std::uint64_t max_levels = 4) {
  std::string filter;
  const std::string topic = random_topic(random, max_levels);
  for (std::size_t start = 0; start <= topic.size();) {
    const std::size_t slash = topic.find('/', start);
    const bool is_last = slash == std::string::npos;
    if (is_last && random.below(4) == 0) {
      filter += '#';
    } else if (random.below(3) == 0) {
      filter += '+';
    } else {
      filter += topic.substr(start, is_last ? slash : slash - start);
    }
    if (is_last) break;
    filter += '/';
    start = slash + 1;
  }
  return filter.empty() ? "+" : filter;
}

}  // namespace sluice::mqtt
