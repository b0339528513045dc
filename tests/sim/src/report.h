#pragma once

#include "reconciler.h"
#include "simulation.h"

#include <cstdint>
#include <string>

#include <sluice/swarm/histogram.h>

namespace sluice::sim {

/// What a run came to.
struct Report {
  std::uint64_t seed = 0;
  std::uint32_t devices = 0;
  std::int64_t start_ms = 0;  // since the epoch
  double seconds = 0;         // of publishing
  double cpu_seconds = 0;     // of this process while publishing
  Counts counts{};
  swarm::Histogram answering{};
  bool is_settled = false;  // all that was published above QoS 0 is acknowledged
  bool was_checked = false;
  bool forbids_duplicates = false;
  Completeness completeness{};

  /// 0: all is as it must be. 1: something that was acknowledged is missing, or there is what must
  /// not be. 2: not everything was acknowledged in time.
  int exit_status() const;
  /// The completeness table.
  std::string table() const;
  std::string json() const;
};

/// Figures of a moment while a run goes on.
struct Moment {
  std::uint32_t devices = 0;
  std::uint32_t connected = 0;
  double messages_per_second = 0;
  double p50_ms = 0;  // publish to PUBACK
  double p99_ms = 0;
  std::uint64_t acknowledged = 0;  // since the start
  std::uint64_t unanswered = 0;
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;

  std::string line() const;
  /// For programs, with the time in seconds since the epoch.
  std::string json(double at) const;
};

double to_ms(std::chrono::nanoseconds time);

}  // namespace sluice::sim
