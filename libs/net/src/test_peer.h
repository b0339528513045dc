#pragma once

#include <cstring>

#include <sluice/net/socket.h>

#include <gtest/gtest.h>
#include <netinet/in.h>
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

}  // namespace sluice::net
