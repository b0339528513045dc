#include "../ticket_note.h"
#include "session.h"

#include <algorithm>
#include <cstring>
#include <span>

#include <openssl/aead.h>

namespace sluice::net::aws_lc {
namespace {

// A ticket: the key's name, a nonce, and under AES-256-GCM-SIV the library's session, our note and
// the note's length. GCM-SIV, since all pods of a fleet draw nonces for one key at random, and a
// nonce drawn twice must not be the end of it.
constexpr std::size_t kNameSize = sizeof(TicketKey::name);
constexpr std::size_t kNonceSize = 12;
constexpr std::size_t kTagSize = 16;
constexpr std::size_t kLengthSize = 2;
constexpr std::size_t kHeadSize = kNameSize + kNonceSize;
// In place of a ticket that would be too long: one that nobody can open.
constexpr std::string_view kNoTicket = "no ticket";

const EVP_AEAD* cipher() { return EVP_aead_aes_256_gcm_siv(); }

std::string note_of(const SSL* ssl, const HandshakeData& data) {
  // With TLS 1.3 a resumed handshake gives a new ticket, too; whose it is was read from the old.
  // Not of a ticket that was read and then not resumed.
  if (SSL_session_reused(ssl) == 1) return data.ticket_note;
  return data.chain ? encode_note(*data.chain) : std::string();
}

std::size_t max_overhead(SSL* ssl) noexcept {
  const HandshakeData* const data = handshake_data(ssl);
  if (data == nullptr) return kNoTicket.size();
  try {
    return kHeadSize + kTagSize + kLengthSize + note_of(ssl, *data).size() + kNoTicket.size();
  } catch (...) {
    return kNoTicket.size();
  }
}

bool seal(const SSL* ssl, const HandshakeData& data, std::span<const std::uint8_t> session,
          std::uint8_t* out, std::size_t* out_size, std::size_t max_size) {
  const std::string note = note_of(ssl, data);
  if (note.empty() && data.chain) {
    std::memcpy(out, kNoTicket.data(), kNoTicket.size());
    *out_size = kNoTicket.size();
    return true;
  }
  std::vector<std::uint8_t> plain(session.begin(), session.end());
  plain.insert(plain.end(), note.begin(), note.end());
  plain.push_back(static_cast<std::uint8_t>(note.size()));
  plain.push_back(static_cast<std::uint8_t>(note.size() >> 8));

  const auto keys = data.state->tickets->current();
  const TicketKey& key = keys->back();
  std::uint8_t* const nonce = std::ranges::copy(key.name, out).out;
  data.state->random->fill(std::as_writable_bytes(std::span(nonce, kNonceSize)));
  bssl::ScopedEVP_AEAD_CTX context;
  std::size_t size = 0;
  if (EVP_AEAD_CTX_init(context.get(), cipher(), key.seal.data(), key.seal.size(), kTagSize,
                        nullptr) != 1 ||
      EVP_AEAD_CTX_seal(context.get(), out + kHeadSize, &size, max_size - kHeadSize, nonce,
                        kNonceSize, plain.data(), plain.size(), out, kNameSize) != 1) {
    return false;
  }
  *out_size = kHeadSize + size;
  return true;
}

int seal_ticket(SSL* ssl, std::uint8_t* out, std::size_t* out_size, std::size_t max_size,
                const std::uint8_t* session, std::size_t size) noexcept {
  const HandshakeData* const data = handshake_data(ssl);
  if (data == nullptr) return 0;
  try {
    return seal(ssl, *data, {session, size}, out, out_size, max_size) ? 1 : 0;
  } catch (...) {  // the library's frames lie between us and whoever could handle it
    return 0;
  }
}

/// The session's bytes go to `out`; false when this ticket is not to be taken.
bool open(HandshakeData& data, std::span<const std::uint8_t> ticket, std::uint8_t* out,
          std::size_t* out_size, std::size_t max_size) {
  if (ticket.size() < kHeadSize + kTagSize + kLengthSize) return false;
  const auto keys = data.state->tickets->current();
  const auto key = std::ranges::find_if(*keys, [ticket](const TicketKey& each) {
    return std::ranges::equal(each.name, ticket.first(kNameSize));
  });
  if (key == keys->end()) return false;
  bssl::ScopedEVP_AEAD_CTX context;
  const auto sealed = ticket.subspan(kHeadSize);
  std::size_t size = 0;
  if (EVP_AEAD_CTX_init(context.get(), cipher(), key->seal.data(), key->seal.size(), kTagSize,
                        nullptr) != 1 ||
      EVP_AEAD_CTX_open(context.get(), out, &size, max_size, ticket.data() + kNameSize, kNonceSize,
                        sealed.data(), sealed.size(), ticket.data(), kNameSize) != 1 ||
      size < kLengthSize) {
    return false;
  }
  size -= kLengthSize;
  const std::size_t note_size = out[size] | std::size_t{out[size + 1]} << 8;
  if (note_size > size) return false;
  *out_size = size - note_size;
  const std::string_view note(reinterpret_cast<const char*>(out + *out_size), note_size);
  if (!admit_note(note, data, data.ticket_identity)) return false;
  data.ticket_note = note;
  return true;
}

ssl_ticket_aead_result_t open_ticket(SSL* ssl, std::uint8_t* out, std::size_t* out_size,
                                     std::size_t max_size, const std::uint8_t* ticket,
                                     std::size_t size) noexcept {
  // Whoever offers a ticket that is not to be taken does a full handshake, whose alert then says
  // what is wrong, and gets a new ticket.
  HandshakeData* const data = handshake_data(ssl);
  if (data == nullptr) return ssl_ticket_aead_error;
  try {
    return open(*data, {ticket, size}, out, out_size, max_size) ? ssl_ticket_aead_success
                                                                : ssl_ticket_aead_ignore_ticket;
  } catch (...) {
    return ssl_ticket_aead_error;
  }
}

constexpr SSL_TICKET_AEAD_METHOD kTickets = {
    .max_overhead = max_overhead, .seal = seal_ticket, .open = open_ticket};

}  // namespace

Result<> install_tickets(SSL_CTX* context, const TlsOptions& options) {
  const std::string scope = session_scope(options.client_certificates);
  if (SSL_CTX_set_session_id_context(context, reinterpret_cast<const std::uint8_t*>(scope.data()),
                                     scope.size()) != 1 ||
      SSL_CTX_set_num_tickets(context, 1) != 1) {  // a device has one connection
    return fail(error_of("session tickets"));
  }
  SSL_CTX_set_ticket_aead_method(context, &kTickets);
  // Tickets alone: sessions remembered here would be of use on this pod only, and cost memory.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  const auto lifetime = static_cast<std::uint32_t>(options.ticket_lifetime.count());
  SSL_CTX_set_timeout(context, lifetime);
  SSL_CTX_set_session_psk_dhe_timeout(context, lifetime);
  return {};
}

}  // namespace sluice::net::aws_lc
