#include <sluice/net/tls_context.h>

#include "socket_bio.h"
#include "tls_state.h"

#include <algorithm>
#include <utility>

#include <sluice/crypto/certificate.h>
#include <sluice/crypto/hash.h>
#include <sluice/crypto/pem_file.h>

#include <openssl/err.h>
#include <openssl/pem.h>

namespace sluice::net {
namespace {

constexpr char kCiphers12[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr char kCiphers13[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr char kPskCiphers12[] = "ECDHE-PSK-CHACHA20-POLY1305";
// A key made for TLS 1.2 goes with SHA-256 (RFC 8446, 4.2.11).
constexpr char kPskCiphers13[] = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
constexpr char kGroups[] = "X25519:P-256:P-384";
constexpr std::chrono::seconds kLongestTicketLife = std::chrono::days(7);  // RFC 8446, 4.6.1

Result<SslContextPtr> new_context(const char* ciphers12, const char* ciphers13) {
  SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(context.get(), ciphers12) != 1 ||
      SSL_CTX_set_ciphersuites(context.get(), ciphers13) != 1 ||
      SSL_CTX_set1_groups_list(context.get(), kGroups) != 1) {
    return fail(openssl_error("TLS context"));
  }
  SSL_CTX_set_options(context.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // One receive for a record's header and body, and for all records that are there.
  SSL_CTX_set_read_ahead(context.get(), 1);
  return context;
}

/// A pass phrase would be asked for on the terminal.
int no_pass_phrase(char*, int, int, void*) { return -1; }

Result<> use_chain(SSL_CTX* context, std::string_view chain_pem, std::string_view key_pem) {
  const BioPtr chain = reader_of(chain_pem);
  const BioPtr key_text = reader_of(key_pem);
  const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_pass_phrase, nullptr));
  bool is_first = true;
  while (const X509Ptr x509{PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)}) {
    const long taken = is_first ? SSL_CTX_use_certificate(context, x509.get())
                                : SSL_CTX_add1_chain_cert(context, x509.get());
    if (taken != 1) return fail(openssl_error("own certificate"));
    is_first = false;
  }
  if (is_first || !key || SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return fail(openssl_error("own certificate"));
  }
  ERR_clear_error();  // the end of the chain is an error to OpenSSL
  return {};
}

/// Our own certificate and key, from files that must fit together.
Result<WallTime> install_own(SSL_CTX* context, const TlsOptions& options, const Clock& clock) {
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
  if (auto used = use_chain(context, chain_pem, key.reveal()); !used) {
    return refuse("tls_cert_file", options.cert_file, used.error().message());
  }
  return chain->front().not_after;
}

/// Reads every file into a new generation and installs it, or changes nothing.
Result<> take_files(TlsContext::State& state) {
  auto fresh = std::make_shared<TlsGeneration>();
  SLUICE_TRY_ASSIGN(fresh->context, new_context(kCiphers12, kCiphers13));
  SSL_CTX* const context = fresh->context.get();
  SLUICE_TRY_ASSIGN(fresh->expires, install_own(context, state.options, state.clock));
  SLUICE_TRY(install_tickets(context, state));
  fresh->bundle = state.bundle;
  Fingerprint digest{};
  if (state.options.client_certificates != ClientCertificates::kNone) {
    const std::string& path = state.options.client_ca_file;
    SLUICE_TRY_ASSIGN(const auto ca_pem, crypto::read_pem_file("client_ca_file", path));
    const std::string hash = crypto::sha256(ca_pem);
    std::ranges::transform(hash, digest.begin(), [](char c) { return std::byte(c); });
    if (digest != state.bundle_digest) ++fresh->bundle;
    if (auto used = install_client_verification(context, state, *fresh, ca_pem); !used) {
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

HandshakeData* handshake_data(const SSL* ssl) {
  return static_cast<HandshakeData*>(SSL_get_app_data(ssl));
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
  state->ticket_cipher.reset(EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr));
  if (!state->ticket_cipher) return fail(openssl_error("AES-256-CBC"));
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
  SLUICE_TRY_ASSIGN(generation->context, new_context(kPskCiphers12, kPskCiphers13));
  SSL_CTX* const context = generation->context.get();
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  install_psk(context);
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
  SslPtr ssl(SSL_new(data->generation->context.get()));
  BioPtr bio = new_socket_bio(socket.fd());
  if (!ssl || !bio) return fail(openssl_error("TLS"));
  BIO* const shared = bio.release();
  SSL_set_bio(ssl.get(), shared, shared);
  SSL_set_accept_state(ssl.get());
  if (SSL_set_app_data(ssl.get(), data.get()) != 1) return fail(openssl_error("TLS"));
  data.release();  // the stream frees it
  return Stream(std::move(socket), ssl.release());
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
