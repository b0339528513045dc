#pragma once

#include <functional>
#include <string>

#include <sluice/audit/trail.h>
#include <sluice/http/request.h>

namespace sluice::tsdb {

/// The record of what a request did, as audit::Trail::done() makes it: for the outbox of the
/// transaction that does it.
using WriteAuditRecord = std::function<std::string(const http::Request&, const audit::Deed&)>;

}  // namespace sluice::tsdb
