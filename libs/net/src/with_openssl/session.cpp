#include "session.h"

#include "socket_bio.h"

#include <openssl/err.h>

namespace sluice::net {
namespace {

constexpr std::size_t kMaxCall = std::size_t{1} << 30;  // so that no length overflows OpenSSL's int

/// The stable word for what OpenSSL's queue says; empties the queue.
std::string_view failure_word(int ssl_error) {
  const unsigned long error = ERR_peek_error();
  ERR_clear_error();
  if (ssl_error == SSL_ERROR_SYSCALL || ssl_error == SSL_ERROR_ZERO_RETURN) return "closed";
  if (ssl_error == SSL_ERROR_WANT_ASYNC_JOB) return "no_memory";
  const int reason = ERR_GET_REASON(error);
  if (ERR_GET_LIB(error) != ERR_LIB_SSL) return "protocol";
  if (reason >= SSL_AD_REASON_OFFSET) return "peer_alert";
  switch (reason) {
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return "closed";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "no_certificate";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
      return "version";
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
      return "nothing_in_common";
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
      return "not_tls";
    case SSL_R_PSK_IDENTITY_NOT_FOUND:
      return "unknown_psk";
    case SSL_R_BINDER_DOES_NOT_VERIFY:
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_DIGEST_CHECK_FAILED:
      return "bad_proof";
    default:
      return "protocol";
  }
}

}  // namespace

HandshakeData* handshake_data(const SSL* ssl) {
  return static_cast<OpenSslSession*>(SSL_get_app_data(ssl))->data();
}

OpenSslSession::OpenSslSession(SslPtr ssl, std::unique_ptr<HandshakeData> data)
    : TlsSession(std::move(data)), ssl_(std::move(ssl)) {
  SSL_set_app_data(ssl_.get(), this);
}

OpenSslSession::~OpenSslSession() {
  if (data() == nullptr || data()->psk_step != PskStep::kAsked) return;
  // The job's stack is only freed when its function returns: let it, into the void.
  detach_socket_bio(SSL_get_rbio(ssl_.get()));
  data()->psk_step = PskStep::kAnswered;
  SSL_do_handshake(ssl_.get());
  ERR_clear_error();
}

Handshake OpenSslSession::handshake() {
  rearm_socket_bio(SSL_get_rbio(ssl_.get()));
  ERR_clear_error();
  const int outcome = SSL_do_handshake(ssl_.get());
  if (outcome == 1) {
    SSL_clear_mode(ssl_.get(), SSL_MODE_ASYNC);
    if (!is_resumed() || restore_identity(ssl_.get(), *data())) return Handshake::kDone;
    data()->failure = "revoked";
    return Handshake::kFailed;
  }
  const int error = SSL_get_error(ssl_.get(), outcome);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return Handshake::kWaiting;
  if (error == SSL_ERROR_WANT_ASYNC) return Handshake::kNeedPsk;
  const std::string_view why = failure_word(error);
  if (data()->failure.empty()) data()->failure = why;
  return Handshake::kFailed;
}

bool OpenSslSession::is_resumed() const {
  return SSL_session_reused(ssl_.get()) == 1 &&
         (data() == nullptr || data()->psk_step == PskStep::kNone);
}

std::string_view OpenSslSession::protocol() const { return SSL_get_version(ssl_.get()); }

IoResult OpenSslSession::read(std::span<std::byte> into) {
  rearm_socket_bio(SSL_get_rbio(ssl_.get()));
  std::size_t total = 0;
  while (total < into.size()) {
    std::size_t count = 0;
    ERR_clear_error();
    const int outcome = SSL_read_ex(ssl_.get(), into.data() + total, into.size() - total, &count);
    if (outcome != 1) return result_of(outcome, total);
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
  return result_of(outcome, 0);
}

/// What a call of OpenSSL that did not succeed comes to, after `count` bytes before it.
IoResult OpenSslSession::result_of(int outcome, std::size_t count) {
  const int error = SSL_get_error(ssl_.get(), outcome);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
    return {.count = count, .status = IoStatus::kWouldBlock, .is_drained = true};
  }
  return {.count = count,
          .status = error == SSL_ERROR_ZERO_RETURN ? IoStatus::kEnd : IoStatus::kFailed};
}

void OpenSslSession::say_farewell() {
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

}  // namespace sluice::net
