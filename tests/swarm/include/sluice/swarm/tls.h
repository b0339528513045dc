#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include <sluice/base/result.h>

namespace sluice::swarm {

struct TlsOptions {
  std::string ca_file{};    // whose certificates the other side may have; empty: anybody's
  std::string cert_file{};  // ours, PEM
  std::string key_file{};
  bool allow_1_3 = true;
};

/// What a client got from a server for its next connection. Empty at first. Must outlive the
/// streams that use it.
class TlsSession {
 public:
  TlsSession();
  ~TlsSession();
  TlsSession(TlsSession&&) noexcept;
  TlsSession& operator=(TlsSession&&) noexcept;

 private:
  friend class TlsStream;
  friend class TlsContext;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// TLS on one connected, non-blocking socket, which it does not own.
class TlsStream {
 public:
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  enum class Step { kDone, kWantRead, kWantWrite, kClosed, kFailed };
  Step handshake();
  /// kDone with `count` > 0, or why not.
  Step read(std::span<std::byte> target, std::size_t& count);
  Step write(std::span<const std::byte> bytes, std::size_t& count);
  /// Says that nothing more will come, as far as the socket takes it at once.
  void shut_down();
  bool was_resumed() const;

 private:
  friend class TlsContext;
  struct Impl;
  explicit TlsStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Settings and keys of one side. Streams may be used by one thread each at a time.
class TlsContext {
 public:
  enum class Side { kClient, kServer };
  static Result<TlsContext> make(Side side, const TlsOptions& options);
  ~TlsContext();
  TlsContext(TlsContext&&) noexcept;
  TlsContext& operator=(TlsContext&&) noexcept;

  std::unique_ptr<TlsStream> accept(int fd);
  /// `session`: offered to the server when it holds something and `resumes`; filled again by it.
  std::unique_ptr<TlsStream> connect(int fd, TlsSession& session, bool resumes);

 private:
  struct Impl;
  explicit TlsContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::swarm
