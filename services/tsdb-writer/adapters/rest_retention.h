#pragma once

#include "adapters/audit_record.h"
#include "core/retention/retention_book.h"

#include <sluice/http/router.h>

namespace sluice::tsdb {

/// Adds GET /v1/retention and PUT /v1/device-classes/{device_type}/retention. `book` must outlive
/// the router.
void add_retention_routes(http::Router& router, RetentionBook& book, WriteAuditRecord audit);

}  // namespace sluice::tsdb
