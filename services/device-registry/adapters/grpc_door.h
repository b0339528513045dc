#pragma once

#include "core/door.h"

#include <memory>

#include <sluice/grpc/server.h>
#include <sluice/metrics/metrics.h>

namespace sluice::registry {

/// The registry's side of device_registry.proto: the Door over gRPC, each method for the services
/// that have a use for it and for nobody else.
class GrpcDoor {
 public:
  /// Registers its methods with `server`, which must not have been started; `door` must outlive the
  /// server, and this too.
  GrpcDoor(rpc::Server& server, Door& door, Registry& registry);
  ~GrpcDoor();
  GrpcDoor(const GrpcDoor&) = delete;
  GrpcDoor& operator=(const GrpcDoor&) = delete;

 private:
  class Service;
  std::unique_ptr<Service> service_;  // hides the stubs from whoever wires
};

}  // namespace sluice::registry
