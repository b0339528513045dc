#include "failure_limiter.h"

#include <algorithm>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace sluice::auth {
namespace {

constexpr std::size_t kNetworkSize = 8;        // bytes of a /64
constexpr std::size_t kMappedPrefixSize = 12;  // ::ffff:0:0/96
constexpr std::size_t kMaxTextSize = 64;       // longer than any address

std::string bytes(const void* from, std::size_t size) {
  return {static_cast<const char*>(from), size};
}

std::string_view without_port(std::string_view peer) {
  if (peer.starts_with('[')) return peer.substr(1, peer.find(']') - 1);
  // More than one colon and no brackets: an IPv6 address alone.
  if (std::ranges::count(peer, ':') > 1) return peer;
  return peer.substr(0, peer.find(':'));
}

}  // namespace

FailureLimiter::FailureLimiter(Limits limits, const Clock& clock)
    : limits_(limits), clock_(clock), forgiven_at_(limits.peers) {}

std::string FailureLimiter::key_of(std::string_view peer) {
  const std::string host(without_port(peer).substr(0, kMaxTextSize));
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    if (IN6_IS_ADDR_V4MAPPED(&v6)) return bytes(&v6.s6_addr[kMappedPrefixSize], sizeof(in_addr));
    return bytes(&v6, kNetworkSize);
  }
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return bytes(&v4, sizeof(v4));
  return host;
}

bool FailureLimiter::is_blocked(std::string_view peer) {
  const std::string key = key_of(peer);
  std::lock_guard lock(mutex_);
  const MonoTime* forgiven_at = forgiven_at_.find(key);
  return forgiven_at != nullptr &&
         *forgiven_at > clock_.mono() + (limits_.burst - 1) * limits_.refill;
}

void FailureLimiter::on_failure(std::string_view peer) {
  const std::string key = key_of(peer);
  std::lock_guard lock(mutex_);
  const MonoTime now = clock_.mono();
  const MonoTime* before = forgiven_at_.find(key);
  forgiven_at_.put(key, std::max(before == nullptr ? now : *before, now) + limits_.refill);
}

}  // namespace sluice::auth
