#include <sluice/http/request.h>

#include <sluice/base/check.h>
#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::http {

bool Peer::is_loopback() const {
  return ip.starts_with("127.") || ip == "::1" || ip.starts_with("::ffff:127.");
}

const std::string& Request::param(std::string_view name) const {
  const auto found = path_params.find(name);
  SLUICE_CHECK(found != path_params.end());
  return found->second;
}

const auth::Principal& Request::principal() const {
  SLUICE_CHECK(caller.has_value());
  return *caller;
}

Result<nlohmann::json> Request::json() const { return parse_json_object(body); }

}  // namespace sluice::http
