#pragma once

#include "clients.h"
#include "group.h"
#include "lag_probe.h"
#include "options.h"
#include "process_usage.h"
#include "tally.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/swarm/loop.h>

namespace sluice::load {

/// Lets a fixed number of threads wait for each other, again and again.
class Rendezvous {
 public:
  explicit Rendezvous(std::uint32_t threads) : threads_(threads) {}
  /// The last to come runs `last` before any goes on.
  void meet(const std::function<void()>& last);

 private:
  std::mutex mutex_;
  std::condition_variable met_;
  const std::uint32_t threads_;
  std::uint32_t present_ = 0;
  std::uint64_t round_ = 0;
};

/// The server's CPU and memory, the SYNs this machine has dropped and the time, taken together.
struct Reading {
  MonoTime time{};
  ProcessUsage usage{};
  std::uint64_t listen_drops = 0;
};

/// What the threads of a run share; all of it is set up before they start.
struct Run {
  const Options& options;
  const Clients& clients;
  const Clock& clock;
  Rendezvous rendezvous;  // of all threads
  MonoTime deadline;

  /// A process that is gone leaves its figures at zero: the run fails by other signs.
  Reading read() const;
};

/// One thread of a run: its loop, and its part of its crew's clients and messages.
struct Worker {
  Run& run;
  Rendezvous& crew;
  swarm::Loop& loop;
  Tally& tally;
  std::uint32_t number = 0;  // in its crew
  LagProbe lag;              // into tally.lag at first

  struct Share {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
  };
  Share share(std::uint64_t total) const;
  Group::Options group(std::uint64_t first, std::uint64_t total) const;
  /// Waits for all threads of the run, or those of its crew. The time of waiting is no lag.
  void meet(const std::function<void()>& last) { meet_at(run.rendezvous, last); }
  void meet_crew(const std::function<void()>& last) { meet_at(crew, last); }
  /// Handles what has happened, waiting for it up to `timeout`.
  void poll(std::chrono::nanoseconds timeout);
  /// Time ran out, or the server did what makes all figures worthless.
  bool must_end() const { return loop.now() >= run.deadline || !tally.inconsistencies.empty(); }
  /// Polls until every client of the group is in or has failed. False: it had to end before.
  bool settle(Group& group);

 private:
  void meet_at(Rendezvous& rendezvous, const std::function<void()>& last);
};

/// Threads of a run that do the same: options.threads of them.
struct Crew {
  std::function<void(Worker&)> body;
  std::uint32_t port = 0;  // of the server that their clients connect to
  const char* name = "";   // of the threads, 15 letters at most; "": as the program's
};

struct Plan {
  std::uint64_t clients = 0;
  std::uint64_t open_at_a_time = 0;
  std::vector<Crew> crews{};
};

/// Checks that that many connections are possible, starts the threads and gives back what each crew
/// has counted.
Result<std::vector<Tally>> run_workers(const Options& options, const Clock& clock,
                                       const Plan& plan);

/// Once in a program: as many files as are allowed, no SIGPIPE.
void prepare_process();

}  // namespace sluice::load
