#include "adapters/stream_side.h"

#include <utility>

#include <sluice/kafka/topics.h>

namespace sluice::validator {

Result<std::unique_ptr<StreamSide>> StreamSide::open(const Config& config,
                                                     const std::string& service, const Clock& clock,
                                                     Random& random, const Logger& log,
                                                     Registry& registry) {
  SLUICE_TRY_ASSIGN(auto consumer,
                    kafka::open_table_consumer(config.kafka, config.consumer,
                                               kafka::topics::kControlSchemas.name, clock, log));
  return std::unique_ptr<StreamSide>(
      new StreamSide(config, service, clock, random, log, registry, std::move(consumer)));
}

StreamSide::StreamSide(const Config& config, const std::string& service, const Clock& clock,
                       Random& random, const Logger& log, Registry& registry,
                       std::unique_ptr<kafka::Consumer> schemas)
    : metrics_(registry),
      schemas_(std::move(schemas), config.consumer, config.compile_limits(), clock, log, registry,
               catalogue_),
      workers_(config.raw_workers(service), clock, random, log, registry, catalogue_,
               [settings = config.pipeline(), this] {
                 return std::make_unique<Pipeline>(settings, metrics_);
               }) {}

StreamSide::~StreamSide() { stop(); }

void StreamSide::start() {
  schemas_.start();
  workers_.start([this] { return schemas_.caught_up(); });
}

void StreamSide::stop() {
  workers_.stop();
  schemas_.stop();
}

Result<> StreamSide::readiness() const {
  if (!schemas_.caught_up()) return fail(ErrorCode::kUnavailable, "control.schemas is being read");
  return workers_.readiness();
}

}  // namespace sluice::validator
