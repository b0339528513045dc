#include <sluice/net/socket.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::net {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

}  // namespace

SocketAddress SocketAddress::v4(std::array<std::uint8_t, 4> ip, std::uint16_t port) {
  SocketAddress out;
  std::ranges::copy(kMappedPrefix, out.ip.begin());
  std::ranges::copy(ip, out.ip.begin() + kMappedPrefix.size());
  out.port = port;
  return out;
}

SocketAddress SocketAddress::of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof(in));
    std::array<std::uint8_t, 4> ip{};
    std::memcpy(ip.data(), &in.sin_addr, ip.size());
    return v4(ip, ntohs(in.sin_port));
  }
  SocketAddress out;
  if (address.ss_family != AF_INET6) return out;
  sockaddr_in6 in{};
  std::memcpy(&in, &address, sizeof(in));
  std::memcpy(out.ip.data(), &in.sin6_addr, out.ip.size());
  out.port = ntohs(in.sin6_port);
  return out;
}

bool SocketAddress::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), ip.begin());
}

std::string SocketAddress::ip_text() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool v4 = is_v4();
  inet_ntop(v4 ? AF_INET : AF_INET6, ip.data() + (v4 ? kMappedPrefix.size() : 0), text.data(),
            text.size());
  return text.data();
}

std::string SocketAddress::text() const {
  return (is_v4() ? ip_text() : "[" + ip_text() + "]") + ":" + std::to_string(port);
}

void Socket::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Socket::reset() {
  if (fd_ < 0) return;
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close();
}

}  // namespace sluice::net
