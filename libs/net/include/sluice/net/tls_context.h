#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/metrics/metrics.h>
#include <sluice/net/peer_identity.h>
#include <sluice/net/stream.h>

namespace sluice::net {

enum class ClientCertificates : std::uint8_t { kNone, kOptional, kRequired };

/// Who speaks the protocol. Both do it alike, but for what the README lists.
enum class TlsLibrary : std::uint8_t {
  kBest,     // AWS-LC where this is built with it: half the work or less, an eighth of the memory
  kOpenSsl,  // for comparison
};

struct TlsOptions {
  std::string cert_file{};  // our chain, own certificate first
  std::string key_file{};
  ClientCertificates client_certificates = ClientCertificates::kNone;
  std::string client_ca_file{};  // authorities of devices; roots or intermediates, each trusted
  /// Ticket keys shared by all pods: lines `<id> <43 characters of base64url>` as in crypto's
  /// KeyRing, oldest first; the last encrypts, all decrypt. Empty: random keys of this process,
  /// rotated every ticket_lifetime.
  std::string ticket_key_file{};
  std::chrono::seconds ticket_lifetime{24 * 3600};  // at most 7 days (RFC 8446)
  std::size_t verified_chains = 65'536;             // about 600 bytes each
  std::string name{};                               // label of its metrics: "mqtts", "wss"
  TlsLibrary library = TlsLibrary::kBest;
};

/// Whether a certificate has been revoked: by fingerprint, or by serial number and issuer. Asked on
/// every handshake, full or resumed, before it counts; must be quick and thread-safe.
using RevocationCheck = std::function<bool(const PeerIdentity&)>;

/// How a server speaks TLS to devices: Mozilla's intermediate profile without its DHE suites, that
/// is TLS 1.2 and 1.3, ECDHE with AES-GCM or ChaCha20, X25519, P-256, P-384; no renegotiation, no
/// compression, no early data. Follows its files while connections live on. Thread-safe; one serves
/// all loops, so that they share the cache of verified chains.
class TlsContext {
 public:
  /// Certificates. `clock`, `random`, `registry` must outlive it and its streams.
  static Result<std::unique_ptr<TlsContext>> open(TlsOptions options, RevocationCheck is_revoked,
                                                  const Clock& clock, Random& random,
                                                  Registry& registry);
  /// Pre-shared keys alone, always with ECDHE: TLS 1.3 with the SHA-256 suites, TLS 1.2 with
  /// ECDHE-PSK-CHACHA20-POLY1305 (OpenSSL has no ECDHE-PSK with AES-GCM). No certificate, no
  /// tickets, so that a key withdrawn does not live on in one. The stream asks its owner for keys:
  /// Handshake::kNeedPsk. Of `options` only `name` is used.
  static Result<std::unique_ptr<TlsContext>> open_psk(TlsOptions options, const Clock& clock,
                                                      Registry& registry);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  /// A stream at the start of its handshake.
  Result<Stream> accept(Socket socket);

  /// True when new files were taken. New files that cannot be used are an error and the last good
  /// ones stay. A change of client_ca_file drops the cache of verified chains. Also rotates random
  /// ticket keys, so call it every few seconds, from one thread at a time.
  Result<bool> reload_if_changed();

  /// Takes a certificate out of the cache: its next full handshake is verified from the ground.
  void forget(const Fingerprint& fingerprint);

  /// When our own certificate runs out; the latest time there is for open_psk().
  WallTime expires() const;

  struct State;  // for this library alone

 private:
  explicit TlsContext(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;  // owned here and by connections in their handshake
};

}  // namespace sluice::net
