#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <sluice/base/clock.h>

namespace sluice::net {

/// The SHA-256 of a certificate's DER.
using Fingerprint = std::array<std::byte, 32>;

/// What is kept of a client's certificate after the handshake. Immutable and shared by the cache of
/// verified chains and the connections of that device, so that a reconnect costs nothing for it.
struct PeerIdentity {
  std::string common_name;   // of the subject; empty when it has none
  std::string organization;  // of the subject; empty when it has none
  std::vector<std::string> dns_names;
  std::vector<std::string> uri_names;
  std::string serial_hex;
  std::string issuer;  // RFC 2253: "CN=Devices,O=Acme"
  Fingerprint fingerprint{};
  WallTime not_before{};
  WallTime not_after{};
};

using PeerIdentityPtr = std::shared_ptr<const PeerIdentity>;

}  // namespace sluice::net
