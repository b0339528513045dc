#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/auth/principal.h>
#include <sluice/base/result.h>
#include <sluice/base/trace.h>
#include <sluice/http/body_reader.h>
#include <sluice/http/headers.h>
#include <sluice/http/idempotency.h>
#include <sluice/log/logger.h>

#include <nlohmann/json_fwd.hpp>

namespace sluice::http {

/// Where a request came from, as the socket says; forwarding headers are never believed.
struct Peer {
  std::string ip;
  int port = 0;
  bool is_tls = false;

  bool is_loopback() const;
};

/// What a handler works with. Plain data, so that a test builds one by hand. Belongs to the thread
/// that handles it.
struct Request {
  std::string method;
  std::string target;  // as it came, still percent-encoded
  std::string route;   // the template that matched: "/v1/devices/{device_id}"
  std::map<std::string, std::string, std::less<>> path_params;  // decoded
  std::vector<std::pair<std::string, std::string>> query;       // decoded, in order
  Headers headers;
  std::string body;                   // empty where the route streams
  BodyReader* body_reader = nullptr;  // where the route streams; owned by the server
  Peer peer;
  std::optional<auth::Principal> caller;  // none on an open route
  TraceContext trace;
  std::optional<Logger> log;  // carries the trace id; set by the server always
  bool is_dry_run = false;    // ?dry_run=true on a write: check everything, change nothing
  std::optional<IdempotencyKey> idempotency_key;

  /// A parameter of the route's template; naming one that is not in it is a bug.
  const std::string& param(std::string_view name) const;

  /// The caller; asking on an open route is a bug.
  const auth::Principal& principal() const;
  const TenantId& tenant() const { return principal().tenant; }

  /// The body as a JSON object within the bounds of json.h.
  Result<nlohmann::json> json() const;
};

}  // namespace sluice::http
