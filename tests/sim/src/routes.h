#pragma once

#include "fleet.h"
#include "roster.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/swarm/loop.h>

namespace sluice::sim {

struct RouteOptions {
  std::string plain{};     // host:port; empty: no device comes without TLS
  std::string tls{};       // host:port; empty: none comes with it
  std::string ca_file{};   // who may have signed the server's certificate
  double tls_share = 0.5;  // of devices with tokens, where both are given
};

/// Which way each device comes: over plain TCP, TLS, or TLS with a certificate of its own. Stays
/// where it is in memory.
class Routes {
 public:
  static Result<std::unique_ptr<Routes>> make(const RouteOptions& options, const Roster& roster,
                                              const Fleet& fleet);

  const swarm::Route& of(std::uint32_t device) const { return *routes_[of_device_[device]]; }

 private:
  Routes() = default;
  std::deque<swarm::TlsContext> contexts_;
  std::vector<std::unique_ptr<swarm::Route>> routes_;
  std::vector<std::uint32_t> of_device_;
};

}  // namespace sluice::sim
