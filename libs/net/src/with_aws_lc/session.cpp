#include "session.h"

#include "socket_bio.h"

#include <algorithm>

#include <openssl/err.h>

namespace sluice::net::aws_lc {
namespace {

constexpr std::size_t kMaxCall = std::size_t{1} << 30;  // so that no length overflows an int

/// The stable word for what the library's queue says; empties the queue.
std::string_view failure_word(int ssl_error) {
  const std::uint32_t error = ERR_peek_error();
  ERR_clear_error();
  if (ssl_error == SSL_ERROR_SYSCALL || ssl_error == SSL_ERROR_ZERO_RETURN) return "closed";
  if (ERR_GET_LIB(error) != ERR_LIB_SSL) return "protocol";
  const int reason = ERR_GET_REASON(error);
  if (reason >= SSL_AD_REASON_OFFSET) return "peer_alert";
  switch (reason) {
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return "closed";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "no_certificate";
    case SSL_R_UNSUPPORTED_PROTOCOL:
      return "version";
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUP:
    case SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS:
      return "nothing_in_common";
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
      return "not_tls";
    case SSL_R_BAD_SIGNATURE:
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_DIGEST_CHECK_FAILED:
      return "bad_proof";
    default:
      return "protocol";
  }
}

}  // namespace

HandshakeData* handshake_data(const SSL* ssl) {
  return static_cast<Session*>(SSL_get_app_data(ssl))->data();
}

Session::Session(bssl::UniquePtr<SSL> ssl, std::unique_ptr<HandshakeData> data)
    : TlsSession(std::move(data)), ssl_(std::move(ssl)) {
  SSL_set_app_data(ssl_.get(), this);
}

Handshake Session::handshake() {
  rearm(SSL_get_rbio(ssl_.get()));
  ERR_clear_error();
  const int outcome = SSL_do_handshake(ssl_.get());
  if (outcome == 1) {
    if (is_resumed()) data()->identity = std::move(data()->ticket_identity);
    return Handshake::kDone;
  }
  const int error = SSL_get_error(ssl_.get(), outcome);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return Handshake::kWaiting;
  const std::string_view why = failure_word(error);
  if (data()->failure.empty()) data()->failure = why;
  return Handshake::kFailed;
}

bool Session::is_resumed() const { return SSL_session_reused(ssl_.get()) == 1; }

std::string_view Session::protocol() const { return SSL_get_version(ssl_.get()); }

IoResult Session::read(std::span<std::byte> into) {
  rearm(SSL_get_rbio(ssl_.get()));
  std::size_t total = 0;
  while (total < into.size()) {
    ERR_clear_error();
    const std::size_t room = std::min(into.size() - total, kMaxCall);
    const int outcome = SSL_read(ssl_.get(), into.data() + total, static_cast<int>(room));
    if (outcome <= 0) return result_of(outcome, total);
    total += static_cast<std::size_t>(outcome);
  }
  return {.count = total};
}

IoResult Session::write(std::span<const std::byte> bytes) {
  ERR_clear_error();
  const std::size_t size = std::min(bytes.size(), kMaxCall);
  const int outcome = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(size));
  if (outcome > 0) return {.count = static_cast<std::size_t>(outcome)};
  return result_of(outcome, 0);
}

/// What a call that did not succeed comes to, after `count` bytes before it.
IoResult Session::result_of(int outcome, std::size_t count) {
  const int error = SSL_get_error(ssl_.get(), outcome);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
    return {.count = count, .status = IoStatus::kWouldBlock, .is_drained = true};
  }
  return {.count = count,
          .status = error == SSL_ERROR_ZERO_RETURN ? IoStatus::kEnd : IoStatus::kFailed};
}

void Session::say_farewell() {
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

}  // namespace sluice::net::aws_lc
