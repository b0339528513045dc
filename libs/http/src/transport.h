#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>

struct ssl_st;
struct ssl_ctx_st;

namespace sluice::http {

/// A connected non-blocking socket with or without TLS. The try_ functions never wait; the others
/// wait with a deadline. Belongs to one thread at a time, except for cut(). Closes its socket at
/// the end.
class Transport {
 public:
  enum class Io { kDone, kWantRead, kWantWrite, kEnd, kBroken };
  struct Step {
    Io io = Io::kBroken;
    std::size_t count = 0;  // kDone: bytes moved
  };

  /// Takes the socket over; it must be non-blocking.
  explicit Transport(int fd);
  ~Transport();
  Transport(Transport&& other) noexcept;
  Transport& operator=(Transport&&) = delete;

  /// TLS from now on, to be begun by try_handshake(). kInternal when OpenSSL has no memory.
  Result<> accept_tls(ssl_ctx_st* context);

  Step try_handshake();
  Step try_read(std::span<char> out);
  Step try_write(std::string_view bytes);

  /// Whether decrypted bytes wait inside that no poll of the socket would tell of.
  bool has_pending() const;
  bool is_tls() const { return ssl_ != nullptr; }
  int fd() const { return fd_; }

  /// 0 at the end. kDeadlineExceeded, or kCancelled when the peer broke off.
  Result<std::size_t> read_some(std::span<char> out, const Clock& clock, MonoTime deadline);
  /// Everything, where each wait takes at most `patience`.
  Result<> write_all(std::string_view bytes, const Clock& clock, std::chrono::milliseconds patience,
                     MonoTime deadline);

  /// Says that no more bytes come, by TLS and TCP, without waiting.
  void finish_writing();
  /// Ends every wait on this socket at once. Any thread, while the transport lives.
  void cut() const;

 private:
  Step tls_step(int outcome);
  Result<> wait(Io wanted, const Clock& clock, MonoTime deadline) const;

  int fd_;
  ssl_st* ssl_ = nullptr;  // owned
};

}  // namespace sluice::http
