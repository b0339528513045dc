#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include <sluice/swarm/histogram.h>

namespace sluice::load {

/// What one thread of a run has counted. Not thread-safe; merged at the end.
struct Tally {
  swarm::Histogram connecting;  // connect() to CONNACK
  swarm::Histogram answering;   // publish due to PUBACK or PUBCOMP
  swarm::Histogram cut_off;     // the same in a storm's first second, in which a crowd is cut off
  swarm::Histogram disturbed;   // the same in the rest of it
  swarm::Histogram delivering;  // publish due to its arrival at a subscriber
  swarm::Histogram pinging;     // ping due to its answer
  swarm::Histogram lag;         // see LagProbe
  swarm::Histogram storm_lag;   // the same while a storm was on
  std::uint64_t opened = 0;
  std::uint64_t resumed = 0;  // of those, by a TLS ticket
  std::uint64_t sent = 0;
  std::uint64_t acked = 0;
  std::uint64_t received = 0;
  /// Refused, closed, not answered: by reason.
  std::map<std::string, std::uint64_t, std::less<>> failures{};
  /// What no server may do, such as acknowledging what was never sent.
  std::map<std::string, std::uint64_t, std::less<>> inconsistencies{};

  void failed(std::string_view reason, std::uint64_t count = 1) {
    if (count > 0) failures[std::string(reason)] += count;
  }
  void inconsistent(std::string_view what) { ++inconsistencies[std::string(what)]; }
  void add(const Tally& other);
};

}  // namespace sluice::load
