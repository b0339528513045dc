#include <sluice/swarm/dialer.h>

#include <cerrno>
#include <cstring>
#include <format>

#include <sluice/base/check.h>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::swarm {

namespace {

bool is_loopback(const sockaddr_storage& address) {
  if (address.ss_family != AF_INET) return false;
  sockaddr_in ipv4{};
  std::memcpy(&ipv4, &address, sizeof ipv4);
  return ntohl(ipv4.sin_addr.s_addr) >> 24 == 127;
}

bool bind_source(int fd, std::uint32_t number) {
  // The port is chosen at connect(), where only the pair of addresses must be unique.
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_addr.s_addr = htonl((127U << 24) + 2 + number);
  return bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof local) == 0;
}

}  // namespace

Result<Dialer> Dialer::make(const std::string& host, std::uint16_t port, std::uint32_t sources) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) {
    return fail(ErrorCode::kInvalidArgument, std::format("{}: {}", host, gai_strerror(error)));
  }
  Dialer dialer;
  SLUICE_CHECK(found->ai_addrlen <= dialer.address_.size());
  std::memcpy(dialer.address_.data(), found->ai_addr, found->ai_addrlen);
  dialer.address_size_ = found->ai_addrlen;
  freeaddrinfo(found);
  sockaddr_storage address{};
  std::memcpy(&address, dialer.address_.data(), dialer.address_size_);
  if (is_loopback(address)) dialer.sources_ = sources;
  return dialer;
}

int Dialer::dial(std::uint32_t index) const {
  sockaddr_storage address{};
  std::memcpy(&address, address_.data(), address_size_);
  const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if ((sources_ == 0 || bind_source(fd, index % sources_)) &&
      (connect(fd, reinterpret_cast<const sockaddr*>(&address), address_size_) == 0 ||
       errno == EINPROGRESS)) {
    return fd;
  }
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

std::string_view tcp_reason(int error) {
  switch (error) {
    case ECONNREFUSED:
      return "tcp_refused";
    case ECONNRESET:
    case EPIPE:
      return "tcp_reset";
    case ETIMEDOUT:
      return "tcp_timeout";
    case EADDRNOTAVAIL:
    case EADDRINUSE:
      return "out_of_ports";
    case EMFILE:
    case ENFILE:
      return "out_of_files";
    default:
      return "tcp_error";
  }
}

}  // namespace sluice::swarm
