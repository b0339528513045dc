#include "registry/sim_registry.h"

#include "core/catalog.h"
#include "core/door.h"
#include "testing/fake_store.h"
#include "testing/fake_vault.h"
#include "testing/requests.h"

#include <utility>

#include <sluice/base/check.h>

namespace sluice::simulation {

struct SimRegistry::Parts {
  explicit Parts(World& world)
      : store(world.clock),
        random(world.random.fork()),
        catalog(store, vault, world.clock, random),
        door(store, vault, trail, world.clock, random) {}

  registry::testing::FakeStore store;
  registry::testing::FakeVault vault;
  registry::testing::AuditList trail;
  testing::SimRandom random;
  registry::Catalog catalog;
  registry::Door door;
};

SimRegistry::SimRegistry(World& world) : parts_(std::make_unique<Parts>(world)) {}
SimRegistry::~SimRegistry() = default;

SimRegistry::Device SimRegistry::add(const std::string& tenant, const std::string& device_class) {
  const auto made = parts_->store.run(
      registry::Scope::all_tenants(), {},
      [&](registry::Transaction& transaction) { return transaction.ensure_tenant(tenant); });
  SLUICE_CHECK(made.has_value());
  const auto written =
      parts_->catalog.create(registry::testing::admin_of(tenant), registry::ResourceKind::kDevice,
                             {{"device_class", device_class}}, {});
  SLUICE_CHECK(written.has_value());
  return {.tenant = tenant,
          .id = written->resource.id,
          .token = registry::text_at(written->shown_once, "auth_token")};
}

Result<device::v1::AuthenticateResponse> SimRegistry::authenticate(
    const device::v1::AuthenticateRequest& request) {
  return parts_->door.authenticate(request, {.service = "mqtt-front"});
}

}  // namespace sluice::simulation
