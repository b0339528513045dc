#pragma once

#include <array>
#include <cstdint>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>

namespace sluice::ingest {

/// Makes the UUIDv7 of messages for one owner thread: ids of one generator strictly rise, as bytes
/// too. Base's UuidGenerator takes a lock and reads the clock for each; this one is given the time
/// that its loop has read anyway, and takes one random number a millisecond: within it the counter
/// tells ids apart, and two generators collide with a chance of 2^-62. Ids are unique, not secret.
class MessageIds {
 public:
  using Id = std::array<std::uint8_t, 16>;

  explicit MessageIds(Random& random) : random_(random) {}
  /// Where `now` stands still for more than 4096 ids, or goes back, later milliseconds are
  /// borrowed.
  Id next(WallTime now);

 private:
  Random& random_;
  std::int64_t last_ms_ = -1;
  std::uint32_t counter_ = 0;
  std::uint64_t random_bits_ = 0;
};

}  // namespace sluice::ingest
