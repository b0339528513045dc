#include "../ticket_note.h"
#include "session.h"

#include <algorithm>
#include <span>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rand.h>

namespace sluice::net {
namespace {

/// Whether a session may be resumed, and whose it is.
bool may_resume(SSL_SESSION* session, HandshakeData& data, PeerIdentityPtr& identity) {
  void* note = nullptr;
  std::size_t size = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &note, &size) != 1) size = 0;
  // A certificate whose note was too long.
  if (size == 0 && SSL_SESSION_get0_peer(session) != nullptr) return false;
  return admit_note({static_cast<const char*>(note), size}, data, identity);
}

int note_in_ticket(SSL* ssl, void*) noexcept {
  HandshakeData* const data = handshake_data(ssl);
  if (data == nullptr) return 0;
  // A resumed session has its note already.
  if (!data->chain || SSL_session_reused(ssl) == 1) return 1;
  try {
    const std::string note = encode_note(*data->chain);
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), note.data(), note.size());
  } catch (...) {  // OpenSSL's frames lie between us and whoever could handle it
    return 0;
  }
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
  static const CipherPtr kind(EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr));
  if (!kind) return -1;
  if (is_encrypting == 1) {
    const TicketKey& key = keys->back();
    std::ranges::copy(key.name, name);
    data->state->random->fill(std::as_writable_bytes(std::span(iv, 16)));
    if (EVP_EncryptInit_ex(cipher, kind.get(), nullptr, key.aes.data(), iv) != 1) return -1;
    return use_key(key, mac) ? 1 : -1;
  }
  const auto key = std::ranges::find_if(*keys, [name](const TicketKey& each) {
    return std::ranges::equal(each.name, std::span(name, 16));
  });
  if (key == keys->end()) return 0;
  if (!use_key(*key, mac) ||
      EVP_DecryptInit_ex(cipher, kind.get(), nullptr, key->aes.data(), iv) != 1) {
    return -1;
  }
  return key + 1 == keys->end() ? 1 : 2;
}

}  // namespace

bool restore_identity(const SSL* ssl, HandshakeData& data) {
  data.identity = nullptr;
  return may_resume(SSL_get_session(ssl), data, data.identity);
}

Result<> install_tickets(SSL_CTX* context, const TlsOptions& options) {
  // Without a scope, OpenSSL refuses every ticket as soon as certificates are asked for.
  const std::string scope = session_scope(options.client_certificates);
  const auto* const bytes = reinterpret_cast<const unsigned char*>(scope.data());
  if (SSL_CTX_set_session_id_context(context, bytes, static_cast<unsigned>(scope.size())) != 1 ||
      SSL_CTX_set_session_ticket_cb(context, note_in_ticket, check_ticket, nullptr) != 1 ||
      SSL_CTX_set_tlsext_ticket_key_evp_cb(context, choose_key) != 1 ||
      SSL_CTX_set_num_tickets(context, 1) != 1) {  // a device has one connection
    return fail(openssl_error("session tickets"));
  }
  // Tickets alone: sessions remembered here would be of use on this pod only, and cost memory.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, options.ticket_lifetime.count());
  return {};
}

}  // namespace sluice::net
