#pragma once

#include "ticket_keys.h"
#include "tls_session.h"
#include "verified_chains.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/config/settings.h>
#include <sluice/metrics/metrics.h>
#include <sluice/net/tls_context.h>

/// What the TLS of this library knows beside the TLS library it is made with. No header of one may
/// be included here: two of them with the same names are in one program.
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
  std::unique_ptr<TlsEngine> engine;
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
  std::unique_ptr<TicketKeyStore> tickets;  // null for PSK
  std::string stamp;                        // which files were read
  Fingerprint bundle_digest{};              // of the CA file that `bundle` counts
  std::uint64_t bundle = 0;
  mutable std::mutex mutex;  // guards generation
  std::shared_ptr<const TlsGeneration> generation;
};

enum class PskStep : std::uint8_t { kNone, kAsked, kAnswered };

/// What a connection has only while its handshake lasts.
struct HandshakeData {
  std::shared_ptr<TlsContext::State> state;         // with all streams of the context
  std::shared_ptr<const TlsGeneration> generation;  // with the streams accepted under it
  PeerIdentityPtr identity;
  std::optional<VerifiedChain> chain;  // what `identity` was verified with in a full handshake
  PeerIdentityPtr ticket_identity;     // of a ticket that may yet not be resumed
  std::string ticket_note;             // and its note, for the ticket that replaces it
  std::string_view failure{};          // a literal
  std::string psk_identity;
  Secret psk;
  PskStep psk_step = PskStep::kNone;
};

/// Which certificates a client sent: the first, and all of them in their order.
struct SentChain {
  Fingerprint leaf{};
  Fingerprint sent{};

  /// At least one.
  static SentChain of(std::span<const Fingerprint> certificates);
};

/// The same chain, verified before and good still.
std::optional<VerifiedChain> find_verified(HandshakeData& data, const SentChain& sent);

/// Completes a chain that the library has just verified, valid and anchored as it says, and
/// remembers it. An error for names that we do not accept.
Result<> remember_verified(HandshakeData& data, const SentChain& sent, std::string_view leaf_der,
                           std::string issuer, VerifiedChain& chain);

/// Lets the client in, unless its certificate is revoked.
bool admit(HandshakeData& data, VerifiedChain chain);

}  // namespace sluice::net
