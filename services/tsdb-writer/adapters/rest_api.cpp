#include "adapters/rest_api.h"

#include "adapters/rest_prometheus.h"

#include <sluice/base/check.h>
#include <sluice/embedded/tsdb_writer_openapi.h>
#include <sluice/http/openapi.h>

namespace sluice::tsdb {

http::Router make_router(const QueryParts& parts, const AddRoutes& add_routes,
                         const WriteAuditRecord& audit) {
  http::Router router;
  add_query_routes(router, parts);
  add_prometheus_routes(router, parts);
  if (add_routes) add_routes(router, audit);
  const auto description = http::OpenApi::parse(embedded::tsdb_writer_openapi);
  SLUICE_CHECK(description.has_value());
  description->serve(router);
  return router;
}

}  // namespace sluice::tsdb
