// Wiring only. Decisions are in core/, I/O is in adapters/ and the libraries.
#include "adapters/operator_side.h"
#include "adapters/stream_side.h"
#include "config.h"

#include <sluice/service/run.h>

namespace sluice::validator {
namespace {

Result<> serve(service::Runtime& rt, const Config& config) {
  const Clock& clock = rt.clock();
  const Logger& log = rt.log();
  Registry& metrics = rt.registry();
  SLUICE_TRY_ASSIGN(auto stream,
                    StreamSide::open(config, rt.name(), clock, rt.random(), log, metrics));
  SLUICE_TRY_ASSIGN(auto operators, OperatorSide::open(config, rt.name(), *stream, clock,
                                                       rt.random(), log, metrics));

  // Stopped from the last to the first: operators' requests, then the stream.
  rt.add(*stream), rt.add(*operators);
  rt.add_readiness("stream", [&] { return stream->readiness(); });
  rt.add_readiness("postgres", [&] { return operators->ping(); });
  rt.add_readiness("kafka", [&] { return operators->is_publishing(); });
  rt.on_drain([&] { operators->begin_drain(); });
  stream->start();
  SLUICE_TRY_ASSIGN(const std::string address, operators->start());
  rt.set_address("http", address);
  return rt.wait();
}

}  // namespace
}  // namespace sluice::validator

int main(int argc, char** argv) {
  return sluice::service::run<sluice::validator::Config>("schema-validator", argc, argv,
                                                         sluice::validator::serve);
}
