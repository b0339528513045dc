#pragma once

#include "adapters/front_loops.h"

#include <cstddef>
#include <memory>

#include <sluice/base/clock.h>
#include <sluice/grpc/server.h>
#include <sluice/ingest/topic_map.h>
#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// The front's side of mqtt_front.proto: Publish for the services that answer devices, Deliver and
/// Release for other fronts alone. Everything is checked here, the loops get only what is sound.
/// A handler waits on a worker of the server for its loop, up to the call's deadline; an answer
/// that comes later is dropped. Each method has workers of its own, as fronts wait for each other.
class GrpcDoor {
 public:
  struct Settings {
    std::size_t max_payload = 256 * 1024;  // bytes, of a Publish
  };
  /// Registers its methods with `server`, which must not have been started. The loops may run later
  /// than the server: calls wait for them. The loops and what else is passed by reference must
  /// outlive the server, and so must this.
  GrpcDoor(const Settings& settings, const Clock& clock, const ingest::TopicMap& topics,
           FrontLoops loops, rpc::Server& server, Registry& registry);
  ~GrpcDoor();
  GrpcDoor(const GrpcDoor&) = delete;
  GrpcDoor& operator=(const GrpcDoor&) = delete;

 private:
  class Service;
  std::unique_ptr<Service> service_;  // hides the stubs from whoever wires
};

}  // namespace sluice::front
