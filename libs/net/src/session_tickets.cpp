#include "tls_state.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rand.h>

namespace sluice::net {
namespace {

/// What we put into a ticket beside OpenSSL's session, which holds the certificate: what has to be
/// known for checking it again and cannot be had from the certificate alone.
struct TicketNote {
  static constexpr std::size_t kSize = 1 + 32 + 32 + 8 + 8;
  static constexpr unsigned char kVersion = 1;

  Fingerprint leaf{};
  Fingerprint anchor{};
  WallTime valid_from{};
  WallTime valid_until{};

  std::array<unsigned char, kSize> encode() const {
    std::array<unsigned char, kSize> out{kVersion};
    std::memcpy(&out[1], leaf.data(), 32);
    std::memcpy(&out[33], anchor.data(), 32);
    const std::int64_t times[] = {valid_from.time_since_epoch().count(),
                                  valid_until.time_since_epoch().count()};
    for (std::size_t i = 0; i < 16; ++i) {
      const auto time = static_cast<std::uint64_t>(times[i / 8]);
      out[65 + i] = static_cast<unsigned char>(time >> (8 * (i % 8)));
    }
    return out;
  }

  static std::optional<TicketNote> of(SSL_SESSION* session) {
    void* data = nullptr;
    std::size_t size = 0;
    if (SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1 || size != kSize) return {};
    const auto* const bytes = static_cast<const unsigned char*>(data);
    if (bytes[0] != kVersion) return {};
    TicketNote out;
    std::memcpy(out.leaf.data(), bytes + 1, 32);
    std::memcpy(out.anchor.data(), bytes + 33, 32);
    std::uint64_t times[2] = {};
    for (std::size_t i = 0; i < 16; ++i) {
      times[i / 8] |= std::uint64_t{bytes[65 + i]} << (8 * (i % 8));
    }
    out.valid_from = WallTime(std::chrono::milliseconds(static_cast<std::int64_t>(times[0])));
    out.valid_until = WallTime(std::chrono::milliseconds(static_cast<std::int64_t>(times[1])));
    return out;
  }
};

/// Who a ticket was given to. Null when that certificate does not count any more.
PeerIdentityPtr check_note(const TicketNote& note, SSL_SESSION* session, HandshakeData& data) {
  TlsContext::State& state = *data.state;
  const WallTime now = state.clock.wall();
  if (now < note.valid_from || now >= note.valid_until) return nullptr;
  if (!data.generation->trusts(note.anchor)) return nullptr;
  auto chain = state.chains.find(note.leaf, data.generation->bundle, now);
  PeerIdentityPtr identity = chain ? std::move(chain->identity) : nullptr;
  if (!identity) {
    // Verified by another pod or long ago. What was sent along then is not known, so this cannot go
    // to the cache.
    X509* const leaf = SSL_SESSION_get0_peer(session);
    auto read = leaf == nullptr ? nullptr : read_identity(leaf).value_or(nullptr);
    if (!read || read->fingerprint != note.leaf) return nullptr;
    identity = std::move(read);
  }
  if (state.is_revoked && state.is_revoked(*identity)) return nullptr;
  return identity;
}

/// Whether a session may be resumed, and whose it is.
bool may_resume(SSL_SESSION* session, HandshakeData& data, PeerIdentityPtr& identity) {
  const auto mode = data.state->options.client_certificates;
  if (mode == ClientCertificates::kNone) return true;
  const auto note = TicketNote::of(session);
  if (!note) {
    return mode == ClientCertificates::kOptional && SSL_SESSION_get0_peer(session) == nullptr;
  }
  identity = check_note(*note, session, data);
  return identity != nullptr;
}

int note_in_ticket(SSL* ssl, void*) noexcept {
  HandshakeData* const data = handshake_data(ssl);
  if (data == nullptr) return 0;
  SSL_SESSION* const session = SSL_get_session(ssl);
  // A resumed session has its note already.
  if (!data->chain || SSL_session_reused(ssl) == 1) return 1;
  const auto bytes = TicketNote{.leaf = data->chain->identity->fingerprint,
                                .anchor = data->chain->anchor,
                                .valid_from = data->chain->valid_from,
                                .valid_until = data->chain->valid_until}
                         .encode();
  return SSL_SESSION_set1_ticket_appdata(session, bytes.data(), bytes.size());
}

SSL_TICKET_RETURN check_ticket(SSL* ssl, SSL_SESSION* session, const unsigned char*, std::size_t,
                               SSL_TICKET_STATUS status, void*) noexcept {
  // Whoever offers no usable ticket gets one; whoever offers one that is not to be taken does a
  // full handshake, whose alert then says what is wrong.
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) {
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  }
  HandshakeData* const data = handshake_data(ssl);
  if (data == nullptr) return SSL_TICKET_RETURN_ABORT;
  try {
    PeerIdentityPtr identity;
    if (!may_resume(session, *data, identity)) return SSL_TICKET_RETURN_IGNORE_RENEW;
  } catch (...) {
    return SSL_TICKET_RETURN_ABORT;
  }
  // With TLS 1.3 a ticket is used once, so that nobody can follow a device by it.
  const bool is_renewed = status == SSL_TICKET_SUCCESS_RENEW || SSL_version(ssl) == TLS1_3_VERSION;
  return is_renewed ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
}

bool use_key(const TicketKey& key, EVP_MAC_CTX* mac) {
  char digest[] = "SHA256";
  auto* const bytes = const_cast<unsigned char*>(key.hmac.data());  // OSSL_PARAM knows no const
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, bytes, key.hmac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_END};
  return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/// OpenSSL's contract: 1 a key, 2 an old key (give a new ticket), 0 no key, -1 a fault.
int choose_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
               EVP_MAC_CTX* mac, int is_encrypting) noexcept {
  HandshakeData* const data = handshake_data(ssl);
  if (data == nullptr) return -1;
  const auto keys = data->state->tickets->current();
  const EVP_CIPHER* const kind = data->state->ticket_cipher.get();
  if (is_encrypting == 1) {
    const TicketKey& key = keys->back();
    std::ranges::copy(key.name, name);
    data->state->random->fill(std::as_writable_bytes(std::span(iv, 16)));
    if (EVP_EncryptInit_ex(cipher, kind, nullptr, key.aes.data(), iv) != 1) return -1;
    return use_key(key, mac) ? 1 : -1;
  }
  const auto key = std::ranges::find_if(*keys, [name](const TicketKey& each) {
    return std::ranges::equal(each.name, std::span(name, 16));
  });
  if (key == keys->end()) return 0;
  if (!use_key(*key, mac) || EVP_DecryptInit_ex(cipher, kind, nullptr, key->aes.data(), iv) != 1) {
    return -1;
  }
  return key + 1 == keys->end() ? 1 : 2;
}

}  // namespace

bool restore_identity(const SSL* ssl, HandshakeData& data) {
  data.identity = nullptr;
  return may_resume(SSL_get_session(ssl), data, data.identity);
}

Result<> install_tickets(SSL_CTX* context, TlsContext::State& state) {
  // Sessions of one kind of listener do not resume at another, whatever keys they share. Without a
  // context of its own, OpenSSL refuses every ticket as soon as certificates are asked for.
  const std::string scope =
      "sluice.net." + std::to_string(static_cast<int>(state.options.client_certificates));
  const auto* const bytes = reinterpret_cast<const unsigned char*>(scope.data());
  if (SSL_CTX_set_session_id_context(context, bytes, static_cast<unsigned>(scope.size())) != 1 ||
      SSL_CTX_set_session_ticket_cb(context, note_in_ticket, check_ticket, nullptr) != 1 ||
      SSL_CTX_set_tlsext_ticket_key_evp_cb(context, choose_key) != 1 ||
      SSL_CTX_set_num_tickets(context, 1) != 1) {  // a device has one connection
    return fail(openssl_error("session tickets"));
  }
  // Tickets alone: sessions remembered here would be of use on this pod only, and cost memory.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, state.options.ticket_lifetime.count());
  return {};
}

}  // namespace sluice::net
