#pragma once

#include <string>

#include <sluice/base/result.h>

struct sockaddr_storage;

namespace sluice::http {

struct SocketAddress {
  std::string ip;
  int port = 0;

  /// "127.0.0.1:80", "[::1]:80".
  std::string text() const;
};

SocketAddress describe(const sockaddr_storage& address);

struct ListenSocket {
  int fd = -1;  // non-blocking; the caller's to close
  std::string address;
  bool is_loopback = false;
};

/// Binds "host:port" ("[::1]:0" for IPv6); port 0 asks the system for a free one.
Result<ListenSocket> open_listen_socket(const std::string& listen);

/// Answers are written whole: waiting to fill packets would only delay them.
void set_no_delay(int fd);

}  // namespace sluice::http
