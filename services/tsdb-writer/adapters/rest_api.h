#pragma once

#include "adapters/rest_queries.h"
#include "adapters/rest_server.h"

#include <sluice/http/router.h>

namespace sluice::tsdb {

/// The router with every route of openapi.yaml, and GET /openapi.json. The parts must outlive it.
/// An openapi.yaml that cannot be read is a bug of the build and aborts.
http::Router make_router(const QueryParts& parts, const AddRoutes& add_routes = {},
                         const WriteAuditRecord& audit = {});

}  // namespace sluice::tsdb
