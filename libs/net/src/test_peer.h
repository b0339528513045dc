#pragma once

#include <cstring>

#include <sluice/net/socket.h>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace sluice::net {

/// A blocking connection to a listener on 127.0.0.1; closed when it refuses.
inline Socket try_connect_to(const SocketAddress& address) {
  Socket out(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(address.port);
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(out.fd(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) != 0) out.close();
  return out;
}

inline Socket connect_to(const SocketAddress& address) {
  Socket out = try_connect_to(address);
  EXPECT_TRUE(out.is_open());
  return out;
}

/// A connection over TCP, where the kernel's marks and figures mean something. `near` does not
/// block.
struct TcpPair {
  TcpPair() {
    const Socket listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(name);
    EXPECT_EQ(::bind(listener.fd(), reinterpret_cast<sockaddr*>(&name), size), 0);
    EXPECT_EQ(::listen(listener.fd(), 1), 0);
    EXPECT_EQ(::getsockname(listener.fd(), reinterpret_cast<sockaddr*>(&name), &size), 0);
    far = connect_to({.port = ntohs(name.sin_port)});
    const int on = 1;
    EXPECT_EQ(setsockopt(far.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    near = Socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  }
  Socket near;
  Socket far;
};

}  // namespace sluice::net
