#pragma once

#include "core/caller.h"
#include "core/catalog.h"
#include "ports.h"

#include <sluice/base/result.h>
#include <sluice/http/request.h>
#include <sluice/http/response.h>
#include <sluice/http/router.h>

/// Between what HTTP says and what the core understands: no decisions, no state.
namespace sluice::registry {

/// Who asks, for what is in the caller's own tenant.
Caller caller_of(const http::Request& request);

/// The route's access, out of the core's table of rights: written down once, asked twice.
http::Access access_for(ResourceKind kind, Action action);

/// The body as JSON. An absent body is an empty object where the route says it may be absent.
Result<Json> body_of(const http::Request& request);

/// kInvalidArgument for parameters that nobody reads.
Result<> check_no_parameters(const http::Request& request);
Result<ListRequest> list_request_of(const http::Request& request);

/// For verbs whose body may be there but says nothing.
Result<> check_no_members(const http::Request& request);
/// The reason in the body of a verb; empty where there is none.
Result<std::string> status_reason_of(const Json& body);

/// If-Match and If-None-Match, whose syntax was checked.
Result<http::Preconditions> preconditions_of(const http::Request& request);

using RenderWritten = http::Response (*)(const Written&);
/// Everything a write needs besides its body. The answer is kept with the write itself where the
/// caller sent an Idempotency-Key and works in its own tenant; elsewhere the server keeps it after
/// the write.
Result<WriteOptions> write_options_of(const http::Request& request, RenderWritten render);
/// For writes whose answers are not worth keeping: what is gone is gone, whoever asks again.
Result<WriteOptions> write_options_of(const http::Request& request);

/// What operators see of a thing: its fields with its id; what has no value is left out.
Json to_json(const Resource& resource);
http::Response to_response(const Resource& resource);
/// 304 where the sender has it already.
Result<http::Response> to_response(const http::Request& request, const Resource& resource);
http::Response to_response(const Page& page);
/// 201 with everything that is shown once.
http::Response created(const Written& written);
/// 200.
http::Response changed(const Written& written);

/// "/v1/devices/…": where a thing is to be found.
std::string location_of(const Resource& resource);

}  // namespace sluice::registry
