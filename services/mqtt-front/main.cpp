// Wiring only. Decisions are in core/, I/O is in adapters/ and the libraries.
#include "adapters/control_tables.h"
#include "adapters/front_server.h"
#include "adapters/grpc_door.h"
#include "config.h"

#include <sluice/service/run.h>

namespace sluice::front {
namespace {

Result<> serve(service::Runtime& rt, const Config& config) {
  const Clock& clock = rt.clock();
  const Logger& log = rt.log();
  Registry& metrics = rt.registry();
  SLUICE_TRY_ASSIGN(auto front, FrontServer::open(config, clock, rt.random(), log, metrics));
  rpc::Server grpc(config.grpc, config.identity, clock, rt.random(), log, metrics);
  GrpcDoor door({.max_payload = config.max_packet.count}, clock, front->topics(), front->loops(),
                grpc, metrics);
  SLUICE_TRY(grpc.start());
  std::unique_ptr<ControlTables> tables;
  if (!config.is_conformance_profile) {
    SLUICE_TRY_ASSIGN(tables, ControlTables::open(config.kafka, config.consumer, clock, log,
                                                  metrics, front->identities(), front->loops()));
  }
  SLUICE_TRY(front->start(grpc.address()));

  // Stopped from the last to the first: what feeds the loops, then the loops.
  rt.add(*front), rt.add(grpc);
  if (tables) {
    tables->start();
    rt.add(*tables);
    rt.add_readiness("control_tables", [&] { return tables->caught_up(); });
  }
  rt.add_readiness("sessions", [&] { return front->is_ready(); });
  rt.on_drain([&] { front->drain(); });
  rt.set_address("grpc", grpc.address());
  for (const auto& [name, address] : front->addresses()) rt.set_address(name, address);
  return rt.wait();
}

}  // namespace
}  // namespace sluice::front

int main(int argc, char** argv) {
  return sluice::service::run<sluice::front::Config>("mqtt-front", argc, argv,
                                                     sluice::front::serve);
}
