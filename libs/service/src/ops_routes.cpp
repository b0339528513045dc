#include "ops_routes.h"

#include <algorithm>
#include <array>
#include <optional>

#include <sluice/base/encoding.h>

#include <nlohmann/json.hpp>

namespace sluice::service {
namespace {

using Json = nlohmann::ordered_json;

/// Reasons are error texts; what is longer is no help to who reads a probe.
constexpr std::size_t kMaxReasonSize = 300;

struct Route {
  std::string_view path;
  std::string_view method;
  bool is_open;
};
constexpr std::array<Route, 6> kRoutes = {{{"/livez", "GET", true},
                                           {"/readyz", "GET", true},
                                           {"/startupz", "GET", true},
                                           {"/metrics", "GET", false},
                                           {"/config", "GET", false},
                                           {"/drain", "POST", false}}};

OpsResponse json(int status, const Json& body) {
  return {.status = status,
          .content_type = "application/json",
          .body = body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

OpsResponse readyz(const ReadinessReport& report) {
  Json checks = Json::array();
  for (const CheckReport& check : report.checks) {
    Json one = {{"name", check.name}, {"ready", check.is_ready}};
    if (!check.is_ready) one["reason"] = check.reason.substr(0, kMaxReasonSize);
    checks.push_back(std::move(one));
  }
  return json(report.is_ready ? 200 : 503,
              {{"ready", report.is_ready}, {"state", report.state}, {"checks", checks}});
}

/// Whether the Host header means this machine by number or as localhost. Anything else is a name,
/// and whoever owns a name can let it point to 127.0.0.1 in the browser of somebody else.
bool is_local_host(std::string_view host) {
  const std::string_view name =
      host.starts_with('[') ? host.substr(0, host.find(']') + 1) : host.substr(0, host.find(':'));
  return name == "localhost" || name == "[::1]" ||
         (name.starts_with("127.") &&
          name.find_first_not_of("0123456789.") == std::string_view::npos);
}

/// Why the request may not have what is guarded; nullopt when it may.
std::optional<OpsResponse> refusal(const OpsRequest& request, const Secret& token) {
  if (!token.empty()) {
    constexpr std::string_view kScheme = "Bearer ";
    const std::string_view given = request.header("authorization").value_or("");
    if (request.count("authorization") == 1 && given.starts_with(kScheme) &&
        equal_constant_time(given.substr(kScheme.size()), token.reveal())) {
      return std::nullopt;
    }
    OpsResponse response = plain(401, "the ops token is needed");
    response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"ops\"");
    return response;
  }
  if (!request.peer_is_loopback) {
    return plain(403, "without ops_token_file this answers peers on the same machine alone");
  }
  const auto host = request.header("host");
  // "none" is a person who typed the address, "same-origin" a page that this port itself served.
  // Browsers send an Origin with every POST, so that no page drains.
  const std::string_view site = request.header("sec-fetch-site").value_or("none");
  const bool is_page =
      request.header("origin").has_value() || (site != "none" && site != "same-origin");
  if (is_page || (host && !is_local_host(*host))) {
    return plain(403, "without ops_token_file this does not answer web pages");
  }
  return std::nullopt;
}

}  // namespace

OpsResponse answer(const OpsRequest& request, const Secret& token, const OpsActions& actions) {
  const auto* route = std::ranges::find(kRoutes, std::string_view(request.path), &Route::path);
  const OpsPage* page = nullptr;
  Route route_of_page{};
  if (route == kRoutes.end()) {
    page = actions.find_page(request.path);
    if (page == nullptr) return plain(404, "there is no such path");
    route_of_page = {.path = page->path, .method = "GET", .is_open = !page->needs_token};
    route = &route_of_page;
  }
  const bool is_head = request.method == "HEAD" && route->method == "GET";
  if (request.method != route->method && !is_head) {
    OpsResponse response = plain(405, "not with this method");
    response.headers.emplace_back("Allow", route->method == "GET" ? "GET, HEAD" : route->method);
    return response;
  }
  if (!route->is_open) {
    if (auto refused = refusal(request, token)) return *std::move(refused);
  }
  if (page != nullptr) return actions.show_page(*page);
  if (route->path == "/livez") return plain(200, "alive");
  if (route->path == "/readyz") return readyz(actions.readiness());
  if (route->path == "/startupz") {
    return actions.is_started() ? plain(200, "started") : plain(503, "starting");
  }
  if (route->path == "/metrics") {
    return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = actions.metrics()};
  }
  if (route->path == "/config")
    return {.content_type = "application/json", .body = actions.config()};
  actions.drain();
  return json(202, {{"state", actions.readiness().state}});
}

std::string_view path_label(const OpsRequest& request, const OpsResponse& response) {
  return response.status == 404 ? "other" : std::string_view(request.path);
}

}  // namespace sluice::service
