#pragma once

#include "openssl.h"
#include "ticket_keys.h"
#include "verified_chains.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/config/settings.h>
#include <sluice/metrics/metrics.h>
#include <sluice/net/tls_context.h>

namespace sluice::net {

struct TlsMetrics {
  TlsMetrics(Registry& registry, const std::string& name);
  void failed(std::string_view reason);
  Counter handshakes(const char* kind);
  Counter verified(const char* outcome);

  Registry& registry;  // for the reasons of failures, a fixed list of words
  std::string name;
  Counter full;
  Counter resumed;
  Counter psk;
  Counter verify_cached;
  Counter verify_done;
  Counter verify_refused;
  Gauge chains;
};

/// One reading of the files. Immutable; replaced as a whole.
struct TlsGeneration {
  SslContextPtr context;
  std::vector<Fingerprint> anchors;  // every certificate of the CA file, sorted
  std::uint64_t bundle = 0;          // changes with the content of the CA file
  WallTime expires = WallTime::max();

  bool trusts(const Fingerprint& anchor) const;
};

struct TlsContext::State {
  State(TlsOptions opts, RevocationCheck check, const Clock& time, Random* entropy,
        Registry& registry)
      : options(std::move(opts)),
        is_revoked(std::move(check)),
        clock(time),
        random(entropy),
        metrics(registry, options.name),
        chains(options.verified_chains) {}

  std::shared_ptr<const TlsGeneration> current() const;

  const TlsOptions options;
  const RevocationCheck is_revoked;  // may be empty
  const Clock& clock;
  Random* const random;  // null for PSK
  TlsMetrics metrics;
  VerifiedChains chains;
  CipherPtr ticket_cipher;
  std::unique_ptr<TicketKeyStore> tickets;  // null for PSK
  std::string stamp;                        // which files were read
  Fingerprint bundle_digest{};              // of the CA file that `bundle` counts
  std::uint64_t bundle = 0;
  mutable std::mutex mutex;  // guards generation
  std::shared_ptr<const TlsGeneration> generation;
};

enum class PskStep : std::uint8_t { kNone, kAsked, kAnswered };

/// What a connection has only while its handshake lasts: the SSL's app data.
struct HandshakeData {
  std::shared_ptr<TlsContext::State> state;         // with all streams of the context
  std::shared_ptr<const TlsGeneration> generation;  // with the streams accepted under it
  PeerIdentityPtr identity;
  std::optional<VerifiedChain> chain;  // what `identity` was verified with in a full handshake
  std::string_view failure{};          // a literal
  std::string psk_identity;
  Secret psk;
  PskStep psk_step = PskStep::kNone;
};

HandshakeData* handshake_data(const SSL* ssl);

/// The fingerprint of one certificate; nullopt when OpenSSL fails.
std::optional<Fingerprint> fingerprint_of(const X509* x509);

/// Everything of a certificate that we keep. An error for names that we do not accept.
Result<PeerIdentityPtr> read_identity(X509* x509);

/// Installs what asks for and checks client certificates.
Result<> install_client_verification(SSL_CTX* context, TlsContext::State& state,
                                     TlsGeneration& generation, std::string_view ca_pem);

/// Installs session tickets that work on every pod with the same keys.
Result<> install_tickets(SSL_CTX* context, TlsContext::State& state);

/// After a resumed handshake: who the ticket was given to, all checks made again. False when it is
/// not to be believed.
bool restore_identity(const SSL* ssl, HandshakeData& data);

void install_psk(SSL_CTX* context);

}  // namespace sluice::net
