#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <sluice/config/settings.h>
#include <sluice/net/peer_identity.h>
#include <sluice/net/socket.h>

namespace sluice::net {

class TlsSession;

enum class IoStatus : std::uint8_t {
  kOk,          // `count` bytes were moved
  kWouldBlock,  // none now; the loop will say when
  kEnd,         // the peer has sent its last byte (with TLS: and said so)
  kFailed,      // the connection is broken; close it
};

struct IoResult {
  std::size_t count = 0;
  IoStatus status = IoStatus::kOk;
  /// read() only: nothing is left to read until the loop says so. Edge-triggered handlers read on
  /// until they see this, which mostly is the first time; but after EPOLLRDHUP, EPOLLHUP or
  /// EPOLLERR until kEnd or kFailed, as no further edge tells of the end.
  bool is_drained = false;
};

enum class Handshake : std::uint8_t {
  kDone,     // read() at once: what came with the client's last words causes no event
  kWaiting,  // for the peer; call again on the next event
  kNeedPsk,  // for the owner: look psk_identity() up, answer_psk(), call again
  kFailed,   // an alert and the FIN were sent; failure() says why; discard() what still comes
};

/// One connection's bytes, over plain TCP or TLS. 16 bytes in itself; a plain one has nothing else,
/// one with TLS has the TLS library's state, without buffers while idle.
///
/// Belongs to one thread at a time and knows no loop: its owner registers fd() with
/// kStreamEvents. To hand it over, remove(fd()) on one loop, move it in a task to another and
/// add(fd()) there; never while kNeedPsk is open.
class Stream {
 public:
  Stream();
  /// Plain TCP. TlsContext::accept() makes the others.
  explicit Stream(Socket socket);
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;
  ~Stream();

  int fd() const { return socket_.fd(); }
  bool is_open() const { return socket_.is_open(); }
  bool is_tls() const { return tls_ != nullptr; }

  /// Takes the handshake on as far as it goes. kDone at once for plain TCP.
  Handshake handshake();
  /// Of a handshake that failed: a word for logs and metrics ("certificate_expired", "unknown_ca",
  /// "no_certificate", "revoked", "unknown_psk", "too_long", "peer_alert", "closed", "protocol",
  /// …).
  std::string_view failure() const;
  /// Who the client proved to be; null when it showed no certificate. After kDone, once: the stream
  /// keeps nothing of it.
  PeerIdentityPtr take_identity();
  /// The identity that the client named, at kNeedPsk (unproven) and after kDone (proven) until
  /// take_psk_identity().
  std::string_view psk_identity() const;
  std::string take_psk_identity();
  /// nullopt: there is no such device. A key of fewer than 16 bytes counts as none. To keep who
  /// exists from being probed, answer a random key instead: the client sees the same alert as for a
  /// wrong key.
  void answer_psk(std::optional<Secret> key);
  /// Whether the handshake took a session ticket. After kDone.
  bool is_resumed() const { return is_resumed_; }
  /// "TLSv1.3"; empty for plain TCP.
  std::string_view protocol() const;

  IoResult read(std::span<std::byte> into);
  /// The peer has shown who it is. Before, a TLS record that is not all there waits in the kernel,
  /// so that half of one holds no memory here; from now on it may, and a read costs a system call
  /// less.
  void trust();
  /// As read() of plain TCP, for what nobody wants any more, after shutdown() or a handshake that
  /// failed; lets go of TLS. A connection that is closed before the peer's bytes are all read is
  /// reset, and the peer may forget with it what it was told last.
  IoResult discard(std::span<std::byte> buffer);
  /// May take less than it is given. After kWouldBlock, the next write must begin with the same
  /// bytes: TLS has encrypted them already. Their address may change.
  IoResult write(std::span<const std::byte> bytes);
  /// The same for bytes in several places: one system call (plain, up to 64 parts) or one record
  /// (TLS, up to 16 KiB) for what fits.
  IoResult write(std::span<const std::span<const std::byte>> parts);

  /// Says farewell (TLS close_notify, FIN) without waiting. Reading goes on to kEnd.
  void shutdown();
  void close();
  /// Closes with RST.
  void reset();

  /// Asks the kernel; the listener told it already, so keep it where it is needed. All zero when
  /// the connection is gone.
  SocketAddress peer() const;
  /// How long ago the kernel last received something. Asks it, who knows of the parts of a record
  /// that nobody is woken for.
  std::chrono::milliseconds quiet_for() const;

 private:
  friend class TlsContext;
  Stream(Socket socket, std::unique_ptr<TlsSession> tls);

  void finish_handshake();
  void fail_handshake();

  Socket socket_;
  bool is_established_ = false;
  bool is_resumed_ = false;
  bool is_broken_ = false;  // tls_ must not be called again
  std::unique_ptr<TlsSession> tls_;
};

static_assert(sizeof(Stream) == 16);

}  // namespace sluice::net
