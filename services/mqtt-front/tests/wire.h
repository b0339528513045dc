#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <sluice/net/socket.h>

namespace sluice::front::testing {

/// A device's end of one connection, over TCP or TLS. One owner thread.
class Wire {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// Connects TCP to host:port; throws when that fails.
  explicit Wire(const std::string& address);
  Wire(Wire&&) noexcept;
  Wire& operator=(Wire&&) noexcept;
  ~Wire();

  /// Shakes hands for TLS, without a certificate of its own; throws when that fails. The front's
  /// must be of that authority.
  void secure(const std::string& ca_file);

  /// Everything, however long it takes; false when the connection is gone.
  bool write(std::string_view bytes);
  /// The same past TLS: bytes that are no record, or not all of one.
  bool write_below_tls(std::string_view bytes);
  /// What there is, at least a byte; 0 at the end of the connection, -1 when nothing comes until
  /// the deadline.
  std::ptrdiff_t read(std::span<char> into, Time deadline);

  int fd() const { return socket_.fd(); }

 private:
  struct Tls;

  net::Socket socket_;  // blocking, until it has TLS
  std::unique_ptr<Tls> tls_;
};

}  // namespace sluice::front::testing
