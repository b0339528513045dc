// Wiring only. Decisions are in core/, I/O is in adapters/ and the libraries.
#include "adapters/crypto_vault.h"
#include "adapters/grpc_door.h"
#include "adapters/import_queue.h"
#include "adapters/rest_server.h"
#include "config.h"

#include <sluice/service/periodic_task.h>
#include <sluice/service/run.h>
#include <sluice/status/status_page.h>

namespace sluice::registry {
namespace {

Result<> serve(service::Runtime& rt, const Config& config) {
  const Clock& clock = rt.clock();
  Random& random = rt.random();
  const Logger& log = rt.log();
  Registry& metrics = rt.registry();
  SLUICE_TRY_ASSIGN(auto databases, Databases::open(database_options(config, rt.name()), clock,
                                                    random, metrics, log));
  postgres::Pool& pool = databases->pool();
  Store& store = databases->store();
  SLUICE_TRY_ASSIGN(auto vault, CryptoVault::open(config.vault_key_ring, config.device_jwt_audience,
                                                  clock, random));
  SLUICE_TRY(ensure_first_key(config, store, *vault));
  SLUICE_TRY_ASSIGN(auto kafka, KafkaSide::open(kafka_options(config, rt.name()), pool, clock,
                                                random, log, metrics));
  Catalog catalog(store, *vault, clock, random);
  Operations operations(store, *vault);
  Importer importer(store, *vault, clock, random, import_config(config));
  Door door(databases->door_store(), *vault, *kafka, clock, random, door_config(config));
  service::PeriodicTask sweeper({.name = "sweep", .interval = config.sweep_interval}, clock, random,
                                log, metrics, [&](std::stop_token) { return sweep_store(pool); });
  ImportQueue imports(queue_options(config), importer, *vault, log, metrics);
  status::StatusPage status(config.status, rt);
  rpc::Server grpc(config.grpc, config.identity, clock, random, log, metrics);
  GrpcDoor grpc_door(grpc, door, metrics);
  RestServer rest(config.http, config.auth, {catalog, operations, imports},
                  {*databases, *vault, kafka->audit()}, clock, random, log, metrics);

  // Stopped from the last to the first: requests, then what they began, then what tells of it.
  rt.add(*kafka), rt.add(sweeper), rt.add(imports), rt.add(grpc), rt.add(rest);
  rt.add_readiness("postgres", [&] { return databases->ping(); });
  rt.add_readiness("kafka", [&] { return kafka->is_ready(); });
  rt.on_drain([&] { rest.begin_drain(); });
  SLUICE_TRY(grpc.start());
  SLUICE_TRY_ASSIGN(const std::string rest_address, rest.start());
  rt.set_address("grpc", grpc.address());
  rt.set_address("http", rest_address);
  return rt.wait();
}

}  // namespace
}  // namespace sluice::registry

int main(int argc, char** argv) {
  return sluice::service::run<sluice::registry::Config>("device-registry", argc, argv,
                                                        sluice::registry::serve);
}
