#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <sluice/net/socket.h>

namespace sluice::net {

/// What a load balancer says about the connection that it passes on, in the PROXY protocol, version
/// 1 (text) or 2 (binary). Pure. Whom to believe such a header is the caller's decision, and so is
/// refusing connections that come without one.
struct ProxyHeader {
  enum class State : std::uint8_t { kNeedMore, kComplete, kInvalid };

  State state = State::kNeedMore;
  std::size_t consumed = 0;               // when kComplete: what follows is the client's
  std::optional<SocketAddress> source{};  // none: LOCAL, UNKNOWN or not TCP; take the socket's peer
};

/// Longest header accepted: the binary one's fixed part and 2 KiB of addresses and TLVs, of which
/// the longest known, that of a TLS connection with its names, has some hundred bytes.
inline constexpr std::size_t kMaxProxyHeaderBytes = 16 + 2048;

/// `bytes` is everything received so far. TLVs are skipped, those about TLS too: what a client
/// certificate said is to be believed only from the handshake that proved it.
ProxyHeader read_proxy_header(std::span<const std::byte> bytes);

}  // namespace sluice::net
