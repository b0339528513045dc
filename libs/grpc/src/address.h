#pragma once

#include <string>
#include <string_view>

namespace sluice::rpc {

/// Whether a host:port names this machine's loopback. Names other than localhost do not count,
/// whatever they resolve to today.
bool is_loopback(std::string_view address);

/// The same host with another port.
std::string with_port(std::string_view address, int port);

}  // namespace sluice::rpc
