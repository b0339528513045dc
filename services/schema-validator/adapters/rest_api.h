#pragma once

#include "adapters/dry_run.h"
#include "adapters/rejection_store.h"
#include "adapters/schema_store.h"
#include "core/catalogue.h"

#include <mutex>

#include <sluice/audit/trail.h>
#include <sluice/http/router.h>
#include <sluice/kafka/partition_reader.h>

namespace sluice::validator {

/// What operators reach over HTTP: openapi.yaml in code. Handlers parse, call one function and
/// render its answer.
struct RestParts {
  SchemaStore& schemas;
  RejectionStore& rejections;
  const CatalogueHolder& catalogue;
  audit::Trail& audit;
  DryRun& dry_run;
  kafka::PartitionReader& reader;  // of rejected messages' bytes
  std::mutex& reader_mutex;        // whoever reads holds it
  CompileLimits compile_limits{};
  std::int64_t redrive_max = 0;
  std::chrono::milliseconds read_timeout{5'000};
};

/// The router with every route and GET /openapi.json. The parts must outlive it. An openapi.yaml
/// that cannot be read is a bug of the build and aborts.
http::Router make_router(const RestParts& parts);

}  // namespace sluice::validator
