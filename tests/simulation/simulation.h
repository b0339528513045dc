#pragma once

#include "world/faults.h"
#include "world/violations.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sluice::simulation {

struct Options {
  std::uint64_t seed = 1;
  Faults faults = Faults::all();
  bool shows_trace = false;
};

/// What became of a run.
struct Outcome {
  std::uint64_t seed = 0;
  std::string faults;
  std::vector<Violation> violations;
  std::uint64_t trace_hash = 0;
  std::uint64_t trace_lines = 0;
  std::size_t acknowledged = 0;                             // messages
  std::map<std::string, std::size_t, std::less<>> longest;  // queues

  bool is_good() const { return violations.empty(); }
  bool violates(Invariant invariant) const;
  /// What went wrong, and the command that makes it go wrong again; empty for a good run.
  std::string report() const;
};

/// One run of the whole spine: a front, two validators, two writers, a fleet, their Kafka and their
/// database, from the first connection until everything that was acknowledged is stored.
Outcome run(const Options& options);

}  // namespace sluice::simulation
