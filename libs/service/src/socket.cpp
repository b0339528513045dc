#include "socket.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <format>
#include <memory>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::service {
namespace {

/// Waiting connections: the kernel's usual bound is above it, and a prober comes back.
constexpr int kBacklog = 128;

std::unexpected<Error> refuse(const std::string& address, std::string_view why) {
  return fail(ErrorCode::kUnavailable, std::format("cannot listen at {}: {}", address, why));
}

/// The sockets API takes every kind of address through this one type.
sockaddr* generic(sockaddr_storage& storage) { return reinterpret_cast<sockaddr*>(&storage); }

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

Result<Descriptor> listen_at(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return refuse(address, "it is not host:port");
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);

  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  if (const int error = getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &list)) {
    return refuse(address, gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, &freeaddrinfo);

  Descriptor socket(::socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return refuse(address, std::strerror(errno));
  const int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const int off = 0;  // [::] serves IPv4 too
  if (list->ai_family == AF_INET6) {
    setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  if (bind(socket.get(), list->ai_addr, list->ai_addrlen) != 0 ||
      listen(socket.get(), kBacklog) != 0) {
    return refuse(address, std::strerror(errno));
  }
  return socket;
}

std::string bound_address(const Descriptor& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (getsockname(socket.get(), generic(address), &size) != 0 ||
      getnameinfo(generic(address), size, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "";
  }
  return std::format("{}{}{}:{}", address.ss_family == AF_INET6 ? "[" : "", host,
                     address.ss_family == AF_INET6 ? "]" : "", port);
}

bool is_loopback(const sockaddr_storage& peer) {
  constexpr std::uint8_t kLoopbackNet = 127;
  if (peer.ss_family == AF_INET) {
    sockaddr_in address{};
    std::memcpy(&address, &peer, sizeof address);
    return (ntohl(address.sin_addr.s_addr) >> 24) == kLoopbackNet;
  }
  if (peer.ss_family != AF_INET6) return false;
  sockaddr_in6 address{};
  std::memcpy(&address, &peer, sizeof address);
  if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr))
    return address.sin6_addr.s6_addr[12] == kLoopbackNet;
  return IN6_IS_ADDR_LOOPBACK(&address.sin6_addr);
}

Result<Descriptor> make_event() {
  Descriptor event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!event)
    return fail(ErrorCode::kUnavailable, std::format("eventfd: {}", std::strerror(errno)));
  return event;
}

void raise_event(const Descriptor& event) {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the event is already raised.
  [[maybe_unused]] const ssize_t written = write(event.get(), &one, sizeof one);
}

}  // namespace sluice::service
