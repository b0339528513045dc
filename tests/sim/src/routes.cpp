#include "routes.h"

#include <charconv>
#include <format>
#include <map>
#include <tuple>
#include <utility>

namespace sluice::sim {

namespace {

/// Sessions live longer than any absence of a run.
constexpr std::uint32_t kSessionExpirySeconds = 3600;
/// One source address has about 28,000 ports, and finding a free one gets slow long before they are
/// used up; beyond that many, devices come from several addresses of loopback.
constexpr std::uint32_t kDevicesPerSource = 10'000;

Result<swarm::Target> parse_address(const std::string& address) {
  const auto colon = address.rfind(':');
  std::uint16_t port = 0;
  if (colon != std::string::npos) {
    const char* const end = address.data() + address.size();
    const auto read = std::from_chars(address.data() + colon + 1, end, port);
    if (read.ec != std::errc() || read.ptr != end) port = 0;
  }
  if (port == 0) {
    return fail(ErrorCode::kInvalidArgument, std::format("'{}' is not host:port", address));
  }
  return swarm::Target{.host = address.substr(0, colon), .port = port};
}

}  // namespace

Result<std::unique_ptr<Routes>> Routes::make(const RouteOptions& options, const Roster& roster,
                                             const Fleet& fleet) {
  std::unique_ptr<Routes> routes(new Routes);
  swarm::TlsContext* shared = nullptr;
  if (!options.tls.empty()) {
    SLUICE_TRY_ASSIGN(auto context, swarm::TlsContext::make(swarm::TlsContext::Side::kClient,
                                                            {.ca_file = options.ca_file}));
    shared = &routes->contexts_.emplace_back(std::move(context));
  }
  std::map<std::tuple<mqtt::Version, const swarm::TlsContext*>, std::uint32_t> made;
  for (std::uint32_t device = 0; device < roster.size(); ++device) {
    const RegisteredDevice& registered = roster[device];
    const bool has_certificate = !registered.cert_file.empty();
    const bool wants_tls =
        has_certificate || options.plain.empty() || fleet.prefers_tls(device, options.tls_share);
    swarm::TlsContext* tls = wants_tls ? shared : nullptr;
    if (has_certificate) {
      if (shared == nullptr) {
        return fail(ErrorCode::kInvalidArgument,
                    "devices with certificates need an address for TLS");
      }
      SLUICE_TRY_ASSIGN(auto context, swarm::TlsContext::make(swarm::TlsContext::Side::kClient,
                                                              {.ca_file = options.ca_file,
                                                               .cert_file = registered.cert_file,
                                                               .key_file = registered.key_file}));
      tls = &routes->contexts_.emplace_back(std::move(context));
    }
    const auto key = std::tuple(fleet.version(device), tls);
    const auto [at, is_new] = made.emplace(key, routes->routes_.size());
    routes->of_device_.push_back(at->second);
    if (!is_new) continue;
    SLUICE_TRY_ASSIGN(auto target, parse_address(tls != nullptr ? options.tls : options.plain));
    target.version = fleet.version(device);
    target.clean_start = false;
    target.session_expiry_seconds = kSessionExpirySeconds;
    target.sources = roster.size() > kDevicesPerSource ? roster.size() / kDevicesPerSource + 1 : 0;
    target.tls = tls;
    target.resumes = true;
    SLUICE_TRY_ASSIGN(auto route, swarm::Route::make(target));
    routes->routes_.push_back(std::make_unique<swarm::Route>(std::move(route)));
  }
  return routes;
}

}  // namespace sluice::sim
