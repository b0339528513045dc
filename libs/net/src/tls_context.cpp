#include <sluice/net/tls_context.h>

#include "tls_state.h"

#include <algorithm>
#include <utility>

#include <sluice/base/encoding.h>
#include <sluice/crypto/certificate.h>
#include <sluice/crypto/hash.h>
#include <sluice/crypto/pem_file.h>

namespace sluice::net {
namespace {

constexpr std::chrono::seconds kLongestTicketLife = std::chrono::days(7);  // RFC 8446, 4.6.1

/// Our own certificate and key, from files that must fit together.
Result<WallTime> show_own(TlsEngine& engine, const TlsOptions& options, const Clock& clock) {
  SLUICE_TRY_ASSIGN(const auto chain_pem,
                    crypto::read_pem_file("tls_cert_file", options.cert_file));
  SLUICE_TRY_ASSIGN(auto key_text, crypto::read_pem_file("tls_key_file", options.key_file));
  const Secret key(std::move(key_text));
  const auto refuse = [](const char* setting, const std::string& path, const std::string& why) {
    return fail(crypto::pem_file_fault(setting, path, why));
  };
  const auto chain = crypto::read_certificates_pem(chain_pem);
  if (!chain) return refuse("tls_cert_file", options.cert_file, chain.error().message());
  if (!chain->front().is_valid_at(clock.wall())) {
    return refuse("tls_cert_file", options.cert_file,
                  "has run out on or is not valid before its time: " +
                      format_rfc3339(chain->front().not_after));
  }
  const auto belongs = crypto::key_belongs_to(chain_pem, key.reveal());
  if (!belongs) return refuse("tls_key_file", options.key_file, belongs.error().message());
  if (!*belongs) return refuse("tls_key_file", options.key_file, "is not the certificate's key");
  if (auto used = engine.show(chain_pem, key.reveal()); !used) {
    return refuse("tls_cert_file", options.cert_file, used.error().message());
  }
  return chain->front().not_after;
}

Fingerprint fingerprint_from(std::string_view bytes) {
  Fingerprint out{};
  std::ranges::transform(bytes, out.begin(), [](char c) { return std::byte(c); });
  return out;
}

Result<> ask_for_certificates(TlsGeneration& generation, const TlsOptions& options,
                              std::string_view ca_pem) {
  SLUICE_TRY_ASSIGN(const auto authorities, crypto::read_certificates_pem(ca_pem));
  for (const crypto::Certificate& authority : authorities) {
    generation.anchors.push_back(fingerprint_from(*from_hex(authority.fingerprint_hex)));
  }
  std::ranges::sort(generation.anchors);
  return generation.engine->ask_for_certificates(options.client_certificates, ca_pem);
}

Result<std::unique_ptr<TlsEngine>> new_engine(const TlsOptions& options) {
  const bool is_best = options.library == TlsLibrary::kBest && kNewAwsLcEngine != nullptr;
  return is_best ? kNewAwsLcEngine(options) : new_openssl_engine(options);
}

/// Reads every file into a new generation and installs it, or changes nothing.
Result<> take_files(TlsContext::State& state) {
  auto fresh = std::make_shared<TlsGeneration>();
  SLUICE_TRY_ASSIGN(fresh->engine, new_engine(state.options));
  SLUICE_TRY_ASSIGN(fresh->expires, show_own(*fresh->engine, state.options, state.clock));
  fresh->bundle = state.bundle;
  Fingerprint digest{};
  if (state.options.client_certificates != ClientCertificates::kNone) {
    const std::string& path = state.options.client_ca_file;
    SLUICE_TRY_ASSIGN(const auto ca_pem, crypto::read_pem_file("client_ca_file", path));
    digest = fingerprint_from(crypto::sha256(ca_pem));
    if (digest != state.bundle_digest) ++fresh->bundle;
    if (auto used = ask_for_certificates(*fresh, state.options, ca_pem); !used) {
      return fail(crypto::pem_file_fault("client_ca_file", path, used.error().message()));
    }
  }
  const bool is_other_bundle = fresh->bundle != state.bundle;
  state.bundle = fresh->bundle;
  state.bundle_digest = digest;
  {
    std::lock_guard lock(state.mutex);
    state.generation = std::move(fresh);
  }
  // Entries of the old bundle are not found any more; this gives their memory back.
  if (is_other_bundle) state.chains.clear();
  return {};
}

}  // namespace

TlsMetrics::TlsMetrics(Registry& metrics, const std::string& listener)
    : registry(metrics),
      name(listener),
      full(handshakes("full")),
      resumed(handshakes("resumed")),
      psk(handshakes("psk")),
      verify_cached(verified("cached")),
      verify_done(verified("done")),
      verify_refused(verified("refused")),
      chains(registry.gauge("sluice_net_verified_chains",
                            "Client certificate chains in the cache, by listener.",
                            {{"listener", name}})) {}

Counter TlsMetrics::handshakes(const char* kind) {
  return registry.counter("sluice_net_handshakes_total",
                          "TLS handshakes that succeeded, by listener and kind.",
                          {{"listener", name}, {"kind", kind}});
}

Counter TlsMetrics::verified(const char* outcome) {
  return registry.counter("sluice_net_chain_verifications_total",
                          "Chains of client certificates: found verified, verified, refused.",
                          {{"listener", name}, {"outcome", outcome}});
}

void TlsMetrics::failed(std::string_view reason) {
  registry
      .counter("sluice_net_handshake_failures_total",
               "TLS handshakes that failed, by listener and reason.",
               {{"listener", name}, {"reason", std::string(reason)}})
      .add();
}

std::string session_scope(ClientCertificates mode) {
  return "sluice.net." + std::to_string(static_cast<int>(mode));
}

std::shared_ptr<const TlsGeneration> TlsContext::State::current() const {
  std::lock_guard lock(mutex);
  return generation;
}

TlsContext::TlsContext(std::shared_ptr<State> state) : state_(std::move(state)) {}
TlsContext::~TlsContext() = default;

Result<std::unique_ptr<TlsContext>> TlsContext::open(TlsOptions options, RevocationCheck is_revoked,
                                                     const Clock& clock, Random& random,
                                                     Registry& registry) {
  options.ticket_lifetime =
      std::clamp(options.ticket_lifetime, std::chrono::seconds(1), kLongestTicketLife);
  auto state =
      std::make_shared<State>(std::move(options), std::move(is_revoked), clock, &random, registry);
  SLUICE_TRY_ASSIGN(state->tickets,
                    TicketKeyStore::open(state->options.ticket_key_file,
                                         state->options.ticket_lifetime, clock, random));
  std::unique_ptr<TlsContext> made(new TlsContext(std::move(state)));
  SLUICE_TRY(made->reload_if_changed());
  return made;
}

Result<std::unique_ptr<TlsContext>> TlsContext::open_psk(TlsOptions options, const Clock& clock,
                                                         Registry& registry) {
  auto generation = std::make_shared<TlsGeneration>();
  SLUICE_TRY_ASSIGN(generation->engine, new_openssl_psk_engine());
  options.client_certificates = ClientCertificates::kNone;
  options.verified_chains = 0;
  auto state = std::make_shared<State>(std::move(options), nullptr, clock, nullptr, registry);
  state->generation = std::move(generation);
  return std::unique_ptr<TlsContext>(new TlsContext(std::move(state)));
}

Result<Stream> TlsContext::accept(Socket socket) {
  auto data = std::make_unique<HandshakeData>();
  data->state = state_;
  data->generation = state_->current();
  TlsEngine& engine = *data->generation->engine;
  SLUICE_TRY_ASSIGN(auto session, engine.accept(socket.fd(), std::move(data)));
  return Stream(std::move(socket), std::move(session));
}

Result<bool> TlsContext::reload_if_changed() {
  State& state = *state_;
  if (!state.tickets) return false;
  SLUICE_TRY_ASSIGN(const bool are_tickets_new, state.tickets->reload_if_changed());
  // Before reading: a change during the reading is then seen the next time.
  const TlsOptions& options = state.options;
  std::string stamp =
      crypto::stamp_of_files({&options.cert_file, &options.key_file, &options.client_ca_file});
  if (stamp == state.stamp) return are_tickets_new;
  SLUICE_TRY(take_files(state));
  state.stamp = std::move(stamp);
  return true;
}

void TlsContext::forget(const Fingerprint& fingerprint) { state_->chains.forget(fingerprint); }

WallTime TlsContext::expires() const { return state_->current()->expires; }

}  // namespace sluice::net
