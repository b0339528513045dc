#pragma once

#include "kafka/cluster.h"
#include "network/stream.h"
#include "registry/sim_registry.h"
#include "world/world.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::simulation {

/// Where sessions are when no front is: what outlives one.
class Sessions {
 public:
  /// Durable, as Redis is; otherwise forgotten with the front, as its own memory is.
  explicit Sessions(bool is_durable);
  ~Sessions();

 private:
  friend class FrontProcess;
  struct Kept;
  std::unique_ptr<Kept> kept_;
};

/// The core of mqtt-front with a shell of simulated sockets. Destroyed without a word, it has
/// crashed.
class FrontProcess {
 public:
  /// Records that may be in flight to Kafka. What one read of a socket brings beyond that waits.
  static constexpr std::size_t kMaxInFlight = 12;
  static constexpr std::size_t kMaxRead = 16;

  FrontProcess(World& world, Cluster& cluster, SimRegistry& registry, Sessions& sessions);
  ~FrontProcess();

  void accept(StreamPtr stream);
  /// As shadow-service does it by gRPC.
  void publish(std::string_view tenant, std::string_view topic, std::string_view payload);

  void freeze(Duration time);
  bool is_busy() const;
  /// Records that wait for room, of the reads that brought more than there was.
  std::size_t waiting_records() const;
  /// Connections that came and have not ended.
  std::size_t streams() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace sluice::simulation
