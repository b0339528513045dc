#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <utility>

struct sockaddr_storage;

namespace sluice::net {

/// An address of TCP: IPv4 is kept as IPv4-mapped IPv6, so that one peer has one spelling whichever
/// kind of listener it came through.
struct SocketAddress {
  std::array<std::uint8_t, 16> ip{};
  std::uint16_t port = 0;

  static SocketAddress v4(std::array<std::uint8_t, 4> ip, std::uint16_t port);
  /// What the kernel says; all zero for another family.
  static SocketAddress of(const sockaddr_storage& address);

  bool is_v4() const;
  /// "10.0.0.7" or "2001:db8::7".
  std::string ip_text() const;
  /// "10.0.0.7:1883" or "[2001:db8::7]:1883".
  std::string text() const;

  auto operator<=>(const SocketAddress&) const = default;
};

/// Owns a file descriptor. Movable, closes when it goes.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() { close(); }

  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  /// What was received and not read makes the kernel answer with RST anyway.
  void close();
  /// Closes with RST: no TIME_WAIT, no farewell. For peers that are refused.
  void reset();

 private:
  int fd_ = -1;
};

}  // namespace sluice::net
