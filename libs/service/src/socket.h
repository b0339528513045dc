#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <sluice/base/result.h>

struct sockaddr_storage;

namespace sluice::service {

/// Owns a file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// A listening TCP socket, non-blocking, at host:port.
Result<Descriptor> listen_at(const std::string& address);

/// Where a socket is bound.
std::string bound_address(const Descriptor& socket);

/// Whether the peer is on this machine; IPv4 written as IPv6 included.
bool is_loopback(const sockaddr_storage& peer);

/// An event counter to wake a poll() with.
Result<Descriptor> make_event();
void raise_event(const Descriptor& event);

}  // namespace sluice::service
