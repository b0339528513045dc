#pragma once

#include "world/world.h"

#include <memory>
#include <string>

#include <sluice/base/result.h>
#include <sluice/device/v1/device_registry.pb.h>

namespace sluice::simulation {

/// The core of device-registry over its store in memory: it makes devices as an operator would, and
/// says who may come in as it says to a front.
class SimRegistry {
 public:
  explicit SimRegistry(World& world);
  ~SimRegistry();

  struct Device {
    std::string tenant;
    std::string id;
    std::string token;
  };
  Device add(const std::string& tenant, const std::string& device_class);

  Result<device::v1::AuthenticateResponse> authenticate(
      const device::v1::AuthenticateRequest& request);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace sluice::simulation
