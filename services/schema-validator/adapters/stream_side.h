#pragma once

#include "adapters/raw_workers.h"
#include "adapters/schema_table.h"
#include "config.h"

#include <memory>
#include <string>

namespace sluice::validator {

/// The data path: the catalogue and the workers that judge by it. Needs Kafka alone.
class StreamSide {
 public:
  /// What is passed by reference must outlive it.
  static Result<std::unique_ptr<StreamSide>> open(const Config& config, const std::string& service,
                                                  const Clock& clock, Random& random,
                                                  const Logger& log, Registry& registry);
  ~StreamSide();  // stops
  StreamSide(const StreamSide&) = delete;
  StreamSide& operator=(const StreamSide&) = delete;

  void start();
  void stop();
  Result<> readiness() const;
  const CatalogueHolder& catalogue() const { return catalogue_; }

 private:
  StreamSide(const Config& config, const std::string& service, const Clock& clock, Random& random,
             const Logger& log, Registry& registry, std::unique_ptr<kafka::Consumer> schemas);

  CatalogueHolder catalogue_;
  PipelineMetrics metrics_;
  SchemaTable schemas_;
  RawWorkers workers_;
};

}  // namespace sluice::validator
