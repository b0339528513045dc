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
  std::string plain{};     // host:port,…; empty: no device comes without TLS
  std::string tls{};       // host:port,…; empty: none comes with it
  std::string ca_file{};   // who may have signed the server's certificate
  double tls_share = 0.5;  // of devices with tokens, where both are given
};

/// Which way each device comes: over plain TCP, TLS, or TLS with a certificate of its own; and
/// where there are several addresses, to which of them. Stays where it is in memory.
class Routes {
 public:
  static Result<std::unique_ptr<Routes>> make(const RouteOptions& options, const Roster& roster,
                                              const Fleet& fleet);

  /// Devices begin spread over the addresses; each further attempt takes the next one.
  const swarm::Route& of(std::uint32_t device, std::uint32_t attempt) const {
    const auto& ways = ways_[of_device_[device]];
    return *ways[(std::size_t{device} + attempt) % ways.size()];
  }

 private:
  Routes() = default;
  std::deque<swarm::TlsContext> contexts_;
  /// Of each kind of device, a route to each address.
  std::vector<std::vector<std::unique_ptr<swarm::Route>>> ways_;
  std::vector<std::uint32_t> of_device_;
};

}  // namespace sluice::sim
