#pragma once

#include "adapters/import_queue.h"
#include "adapters/rest_searches.h"
#include "core/catalog.h"
#include "core/importer.h"

#include <functional>
#include <string_view>

#include <sluice/http/router.h>

namespace sluice::registry {

/// What operators reach over HTTP: openapi.yaml in code. Handlers translate and nothing else: they
/// parse, call one use case and render its answer.
struct RestParts {
  Catalog& catalog;
  Operations& operations;
  ImportQueue& imports;
  Searches* searches = nullptr;  // null: the catalog answers lists too, as many as come
};

/// Told the id of an API key that opens nothing any more.
using ForgetKey = std::function<void(std::string_view key_id)>;

/// The router with every route, its role out of the core's table of rights, and GET /openapi.json.
/// The parts must outlive it. An openapi.yaml that cannot be read is a bug of the build and aborts.
http::Router make_router(const RestParts& parts, ForgetKey forget_key);

}  // namespace sluice::registry
