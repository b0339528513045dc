#include "session.h"

#include "../error_words.h"
#include "socket_bio.h"

#include <algorithm>

namespace sluice::net {
namespace {

constexpr std::size_t kMaxCall = std::size_t{1} << 30;  // so that no length overflows OpenSSL's int

/// Of the reasons that AWS-LC lacks.
std::string_view own_word(int reason) {
  switch (reason) {
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
      return "nothing_in_common";
    case SSL_R_PSK_IDENTITY_NOT_FOUND:
      return "unknown_psk";
    case SSL_R_BINDER_DOES_NOT_VERIFY:
      return "bad_proof";
    default:
      return {};
  }
}

}  // namespace

HandshakeData* handshake_data(const SSL* ssl) {
  return static_cast<OpenSslSession*>(SSL_get_app_data(ssl))->data();
}

OpenSslSession::OpenSslSession(SslPtr ssl, int fd, std::unique_ptr<HandshakeData> data)
    : TlsSession(std::move(data)), socket_(fd, kHandshakeBounds), ssl_(std::move(ssl)) {
  SSL_set_app_data(ssl_.get(), this);
}

bool OpenSslSession::attach() {
  BIO* const bio = new_socket_bio(socket_).release();
  SSL_set_bio(ssl_.get(), bio, bio);
  return bio != nullptr;
}

OpenSslSession::~OpenSslSession() {
  if (data() == nullptr || data()->psk_step != PskStep::kAsked) return;
  // The job's stack is only freed when its function returns: let it, into the void.
  socket_.cut_off();
  data()->psk_step = PskStep::kAnswered;
  SSL_do_handshake(ssl_.get());
  ERR_clear_error();
}

Handshake OpenSslSession::handshake() {
  socket_.rearm();
  ERR_clear_error();
  const int outcome = SSL_do_handshake(ssl_.get());
  if (outcome == 1) {
    socket_.handshake_is_over();
    SSL_clear_mode(ssl_.get(), SSL_MODE_ASYNC);
    if (!is_resumed() || restore_identity(ssl_.get(), *data())) return Handshake::kDone;
    data()->failure = "revoked";
    return Handshake::kFailed;
  }
  const int error = SSL_get_error(ssl_.get(), outcome);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return Handshake::kWaiting;
  if (error == SSL_ERROR_WANT_ASYNC) return Handshake::kNeedPsk;
  const std::string_view why =
      error == SSL_ERROR_WANT_ASYNC_JOB ? "no_memory" : failure_word(error, own_word);
  if (data()->failure.empty()) data()->failure = why;
  if (socket_.is_handshake_too_long()) data()->failure = "too_long";
  return Handshake::kFailed;
}

bool OpenSslSession::is_resumed() const {
  return SSL_session_reused(ssl_.get()) == 1 &&
         (data() == nullptr || data()->psk_step == PskStep::kNone);
}

std::string_view OpenSslSession::protocol() const { return SSL_get_version(ssl_.get()); }

IoResult OpenSslSession::read(std::span<std::byte> into) {
  socket_.rearm();
  std::size_t total = 0;
  while (total < into.size()) {
    std::size_t count = 0;
    ERR_clear_error();
    const int outcome = SSL_read_ex(ssl_.get(), into.data() + total, into.size() - total, &count);
    if (outcome != 1) return result_after(SSL_get_error(ssl_.get(), outcome), total);
    total += count;
  }
  return {.count = total};
}

IoResult OpenSslSession::write(std::span<const std::byte> bytes) {
  std::size_t count = 0;
  ERR_clear_error();
  const int outcome =
      SSL_write_ex(ssl_.get(), bytes.data(), std::min(bytes.size(), kMaxCall), &count);
  if (outcome == 1) return {.count = count};
  return result_after(SSL_get_error(ssl_.get(), outcome), 0);
}

void OpenSslSession::say_farewell() {
  socket_.hold_for_fin();
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

}  // namespace sluice::net
