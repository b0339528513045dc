// Wiring only. Decisions are in core/, I/O is in adapters/ and the libraries.
#include "adapters/maintenance.h"
#include "adapters/postgres_dictionary.h"
#include "adapters/rest_retention.h"
#include "adapters/rest_server.h"
#include "adapters/storage.h"
#include "adapters/telemetry_consumer.h"
#include "adapters/write_pipeline.h"
#include "config.h"

#include <format>

#include <sluice/service/run.h>

namespace sluice::tsdb {
namespace {

Result<> serve(service::Runtime& rt, const Config& config) {
  const Clock& clock = rt.clock();
  Random& random = rt.random();
  const Logger& log = rt.log();
  Registry& metrics = rt.registry();
  SLUICE_TRY_ASSIGN(auto storage,
                    Storage::open(config.postgres, rt.name(), clock, random, metrics, log));
  PostgresDictionary dictionary(dictionary_options(config), storage->pool(), clock, log);
  WritePipeline::Options options = pipeline_options(config);
  options.on_failure = [&] { static_cast<void>(storage->hot().make_room()); };
  options.on_fatal = [&](Error error) { rt.fail(std::move(error)); };
  WritePipeline pipeline(std::move(options), clock, random, log, metrics, dictionary,
                         storage->hot());
  SLUICE_TRY_ASSIGN(auto consumer, TelemetryConsumer::open(consumer_options(config, rt.name()),
                                                           clock, random, log, metrics, pipeline));
  RetentionTables retention(storage->pool(), storage->partitions());
  const auto add_routes = [&](http::Router& to, const WriteAuditRecord& audit) {
    add_retention_routes(to, retention, audit);
  };
  SLUICE_TRY_ASSIGN(auto rest, RestServer::open(rest_settings(config),
                                                {storage->pool(), &pipeline.recent(), add_routes},
                                                clock, random, log, metrics));
  Maintenance maintenance(config.maintenance, storage->pool(), storage->partitions(), clock, random,
                          log, metrics);

  // Stopped from the last to the first.
  rt.add(maintenance), rt.add(*consumer), rt.add(*rest);
  rt.add_readiness(std::format("storage_{}", storage->partitions().name()),
                   [&] { return storage->pool().ping(); });
  rt.add_readiness("kafka", [&] { return consumer->is_assigned(); });
  rt.on_drain([&] { rest->begin_drain(); });
  SLUICE_TRY_ASSIGN(const std::string rest_address, rest->start());
  rt.set_address("http", rest_address);
  consumer->start();
  return rt.wait();
}

}  // namespace
}  // namespace sluice::tsdb

int main(int argc, char** argv) {
  return sluice::service::run<sluice::tsdb::Config>("tsdb-writer", argc, argv, sluice::tsdb::serve);
}
