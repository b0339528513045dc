#include "sockets.h"

#include <cerrno>
#include <cstring>
#include <format>

#include <netdb.h>

namespace sluice::testing {

Result<SocketAddress> parse_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) {
    return fail(ErrorCode::kInvalidArgument, std::format("\"{}\" is not host:port", text));
  }
  std::string host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), text.c_str() + colon + 1, &hints, &found);
      error != 0) {
    return fail(ErrorCode::kInvalidArgument,
                std::format("\"{}\": {}", text, ::gai_strerror(error)));
  }
  SocketAddress address;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  address.size = found->ai_addrlen;
  ::freeaddrinfo(found);
  return address;
}

std::string to_text(const SocketAddress& address) {
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  const int error = ::getnameinfo(address.get(), address.size, host, sizeof host, port, sizeof port,
                                  NI_NUMERICHOST | NI_NUMERICSERV);
  if (error != 0) return "unknown";
  return address.storage.ss_family == AF_INET6 ? std::format("[{}]:{}", host, port)
                                               : std::format("{}:{}", host, port);
}

Result<Fd> listen_on(const SocketAddress& address, int type) {
  Fd socket(::socket(address.storage.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int yes = 1;
  if (socket.get() < 0 ||
      (type == SOCK_STREAM &&
       ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0) ||
      ::bind(socket.get(), address.get(), address.size) != 0 ||
      (type == SOCK_STREAM && ::listen(socket.get(), SOMAXCONN) != 0)) {
    return fail(ErrorCode::kUnavailable,
                std::format("listen on {}: {}", to_text(address), std::strerror(errno)));
  }
  return socket;
}

SocketAddress local_address(const Fd& socket) {
  SocketAddress address;
  address.size = sizeof address.storage;
  ::getsockname(socket.get(), address.get(), &address.size);
  return address;
}

void close_with_reset(Fd& socket) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  socket.close();
}

}  // namespace sluice::testing
