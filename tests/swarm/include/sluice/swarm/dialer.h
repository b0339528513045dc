#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::swarm {

/// Opens sockets to one server.
class Dialer {
 public:
  /// `sources`: on loopback client i comes from 127.0.0.(2 + i mod sources), since one source
  /// address has about 28,000 ports. 0: the machine's choice.
  static Result<Dialer> make(const std::string& host, std::uint16_t port, std::uint32_t sources);

  /// A non-blocking socket that is being connected, or -1 and errno.
  int dial(std::uint32_t index) const;

 private:
  Dialer() = default;
  std::array<std::byte, 128> address_{};  // a sockaddr_storage
  std::uint32_t address_size_ = 0;
  std::uint32_t sources_ = 0;
};

/// How a failed socket is counted: "tcp_refused" and the like.
std::string_view tcp_reason(int error);

}  // namespace sluice::swarm
