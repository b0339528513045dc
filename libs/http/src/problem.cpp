#include <sluice/http/problem.h>

#include <nlohmann/json.hpp>

namespace sluice::http {
namespace {

// The same words for every failed authentication and every fault of ours: a sender learns nothing
// about which part of a credential was wrong, or what the inside is made of.
constexpr std::string_view kUnauthenticatedDetail = "a valid credential is needed";
constexpr std::string_view kServerFaultDetail =
    "the request could not be carried out; the trace id finds the cause in the log";

nlohmann::ordered_json fault_json(const FieldFault& fault) {
  const bool is_pointer = fault.field.empty() || fault.field.starts_with('/');
  return {{is_pointer ? "pointer" : "parameter", fault.field}, {"detail", fault.message}};
}

}  // namespace

Response problem(const Error& error, std::string_view trace_id,
                 std::optional<std::chrono::seconds> retry_after) {
  const int status = status_of(error);
  const bool is_unauthenticated = status == 401;
  const bool is_generic = is_unauthenticated || status >= 500;

  // An unauthenticated sender must not learn why either, so that one guess tells as much as
  // another.
  const std::string code(to_string(error.code()));
  const std::string& type = error.reason().empty() || is_unauthenticated ? code : error.reason();
  nlohmann::ordered_json body;
  body["type"] = "/problems/" + (is_generic ? code : type);
  body["title"] = std::string(status_title(status));
  body["status"] = status;
  if (!is_generic) {
    body["detail"] = error.message();
  } else {
    body["detail"] = std::string(is_unauthenticated ? kUnauthenticatedDetail : kServerFaultDetail);
  }
  if (!error.reason().empty() && !is_generic) body["reason"] = error.reason();
  if (!trace_id.empty()) body["trace_id"] = std::string(trace_id);
  if (!error.faults().empty() && !is_generic) {
    body["errors"] = nlohmann::ordered_json::array();
    for (const FieldFault& fault : error.faults()) body["errors"].push_back(fault_json(fault));
  }

  Response response;
  response.status = status;
  response.content_type = kProblemType;
  response.body = body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  if (retry_after) response.headers.set("Retry-After", std::to_string(retry_after->count()));
  if (is_unauthenticated) response.headers.set("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace sluice::http
