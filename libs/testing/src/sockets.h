#pragma once

#include <string>
#include <utility>

#include <sluice/base/result.h>

#include <sys/socket.h>
#include <unistd.h>

namespace sluice::testing {

/// A file descriptor that is closed with it.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Fd() { close(); }

  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  /// The bytes, for use as a key.
  std::string key() const { return {reinterpret_cast<const char*>(&storage), size}; }
};

/// Reads "127.0.0.1:80" or "[::1]:80": numbers alone, nothing is looked up.
Result<SocketAddress> parse_address(const std::string& text);
std::string to_text(const SocketAddress& address);

Result<Fd> listen_on(const SocketAddress& address, int type);
SocketAddress local_address(const Fd& socket);
/// Ends a TCP connection with RST instead of FIN.
void close_with_reset(Fd& socket);

}  // namespace sluice::testing
