#include "adapters/rest_sign_in.h"

#include <format>

#include <sluice/http/request.h>

namespace sluice::registry {

Result<auth::Principal> RestSignIn::authenticate(const http::Request& request) {
  SLUICE_TRY_ASSIGN(const std::string_view credential, http::bearer_credential(request));
  return operators_.authenticate(credential, request.peer.ip);
}

Result<std::string> HttpUrlFetcher::get(const std::string& url, const Limits& limits) {
  http::ClientConfig config;
  config.timeout = limits.timeout;
  config.max_response = Bytes{limits.max_bytes};
  const http::Client client(config);
  SLUICE_TRY_ASSIGN(http::ClientResponse response, client.get(url));
  if (response.status != 200) {
    return fail(ErrorCode::kUnavailable, std::format("{} answered {}", url, response.status));
  }
  return std::move(response.body);
}

}  // namespace sluice::registry
