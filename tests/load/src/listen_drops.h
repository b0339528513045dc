#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace sluice::load {

/// SYNs and finished handshakes that the listening sockets of this network namespace, whoever's
/// they are, have dropped since it exists: full backlogs above all (ListenDrops, which counts
/// ListenOverflows as well). Whose SYN was dropped tries again after a second. nullopt where the
/// kernel does not tell. `path`: where netstat is.
std::optional<std::uint64_t> listen_drops(const std::string& path = "/proc/net/netstat");

}  // namespace sluice::load
