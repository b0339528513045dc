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

Result<swarm::Target> parse_address(std::string_view address) {
  const auto colon = address.rfind(':');
  std::uint16_t port = 0;
  if (colon != std::string_view::npos) {
    const char* const end = address.data() + address.size();
    const auto read = std::from_chars(address.data() + colon + 1, end, port);
    if (read.ec != std::errc() || read.ptr != end) port = 0;
  }
  if (port == 0) {
    return fail(ErrorCode::kInvalidArgument, std::format("'{}' is not host:port", address));
  }
  return swarm::Target{.host = std::string(address.substr(0, colon)), .port = port};
}

Result<std::vector<std::unique_ptr<swarm::Route>>> ways_to(std::string_view addresses,
                                                           const swarm::Target& kind) {
  std::vector<std::unique_ptr<swarm::Route>> ways;
  while (true) {
    const auto comma = addresses.find(',');
    SLUICE_TRY_ASSIGN(const auto place, parse_address(addresses.substr(0, comma)));
    swarm::Target target = kind;
    target.host = place.host;
    target.port = place.port;
    SLUICE_TRY_ASSIGN(auto route, swarm::Route::make(target));
    ways.push_back(std::make_unique<swarm::Route>(std::move(route)));
    if (comma == std::string_view::npos) return ways;
    addresses.remove_prefix(comma + 1);
  }
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
    const auto [at, is_new] = made.emplace(key, routes->ways_.size());
    routes->of_device_.push_back(at->second);
    if (!is_new) continue;
    swarm::Target kind;
    kind.version = fleet.version(device);
    kind.clean_start = false;
    kind.session_expiry_seconds = kSessionExpirySeconds;
    kind.sources = roster.size() > kDevicesPerSource ? roster.size() / kDevicesPerSource + 1 : 0;
    kind.tls = tls;
    kind.resumes = true;
    SLUICE_TRY_ASSIGN(auto ways, ways_to(tls != nullptr ? options.tls : options.plain, kind));
    routes->ways_.push_back(std::move(ways));
  }
  return routes;
}

}  // namespace sluice::sim
