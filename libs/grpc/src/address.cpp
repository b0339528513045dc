#include "address.h"

#include <algorithm>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace sluice::rpc {
namespace {

std::string_view host_of(std::string_view address) {
  std::string_view host = address.substr(0, address.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

}  // namespace

bool is_loopback(std::string_view address) {
  const std::string host(host_of(address));
  if (host == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24U) == 127;
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) != 1) return false;
  const in6_addr loopback = IN6ADDR_LOOPBACK_INIT;
  return std::ranges::equal(v6.s6_addr, loopback.s6_addr);
}

std::string with_port(std::string_view address, int port) {
  return std::string(address.substr(0, address.rfind(':'))) + ":" + std::to_string(port);
}

}  // namespace sluice::rpc
