#pragma once

#include "clients.h"
#include "group.h"
#include "options.h"
#include "process_usage.h"
#include "tally.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

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

/// The server's CPU and memory and the time, taken together.
struct Reading {
  MonoTime time{};
  ProcessUsage usage{};
};

/// What the threads of a run share; all of it is set up before they start.
struct Run {
  const Options& options;
  const Clients& clients;
  const Clock& clock;
  Rendezvous rendezvous;
  MonoTime deadline;

  /// A process that is gone leaves its figures at zero: the run fails by other signs.
  Reading read() const;
};

/// One thread of a run: its loop, and its part of clients and messages.
struct Worker {
  Run& run;
  swarm::Loop& loop;
  Tally& tally;
  std::uint32_t number = 0;

  struct Share {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
  };
  Share share(std::uint64_t total) const;
  Group::Options group(std::uint64_t first, std::uint64_t total) const;
  void meet(const std::function<void()>& last) const { run.rendezvous.meet(last); }
  /// Time ran out, or the server did what makes all figures worthless.
  bool must_end() const { return loop.now() >= run.deadline || !tally.inconsistencies.empty(); }
  /// Polls until every client of the group is in or has failed. False: it had to end before.
  bool settle(Group& group) const;
};

/// Checks that `clients` connections are possible, starts the threads and gives back their counts.
Result<Tally> run_workers(const Options& options, const Clock& clock, std::uint64_t clients,
                          std::uint64_t open_at_a_time, const std::function<void(Worker&)>& body);

/// Once in a program: as many files as are allowed, no SIGPIPE.
void prepare_process();

}  // namespace sluice::load
