#include "session.h"

#include "../error_words.h"
#include "socket_bio.h"

#include <algorithm>

namespace sluice::net::aws_lc {
namespace {

constexpr std::size_t kMaxCall = std::size_t{1} << 30;  // so that no length overflows an int

// The library empties its queue of errors at the start of each call, unlike OpenSSL.

/// Of the reasons that OpenSSL lacks.
std::string_view own_word(int reason) {
  switch (reason) {
    case SSL_R_NO_SHARED_GROUP:
    case SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS:
      return "nothing_in_common";
    default:
      return {};
  }
}

}  // namespace

HandshakeData* handshake_data(const SSL* ssl) {
  return static_cast<Session*>(SSL_get_app_data(ssl))->data();
}

Session::Session(bssl::UniquePtr<SSL> ssl, int fd, std::unique_ptr<HandshakeData> data)
    : TlsSession(std::move(data)), socket_(fd, kHandshakeBounds), ssl_(std::move(ssl)) {
  SSL_set_app_data(ssl_.get(), this);
}

bool Session::attach() {
  BIO* const bio = new_socket_bio(socket_).release();
  SSL_set_bio(ssl_.get(), bio, bio);
  return bio != nullptr;
}

Handshake Session::handshake() {
  socket_.rearm();
  const int outcome = SSL_do_handshake(ssl_.get());
  if (outcome == 1) {
    socket_.handshake_is_over();
    if (is_resumed()) data()->identity = std::move(data()->ticket_identity);
    return Handshake::kDone;
  }
  const int error = SSL_get_error(ssl_.get(), outcome);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return Handshake::kWaiting;
  const std::string_view why = failure_word(error, own_word);
  if (data()->failure.empty()) data()->failure = why;
  if (socket_.is_handshake_too_long()) {
    data()->failure = "too_long";
    SSL_send_fatal_alert(ssl_.get(), SSL_AD_DECODE_ERROR);
  }
  return Handshake::kFailed;
}

bool Session::is_resumed() const { return SSL_session_reused(ssl_.get()) == 1; }

std::string_view Session::protocol() const { return SSL_get_version(ssl_.get()); }

IoResult Session::read(std::span<std::byte> into) {
  socket_.rearm();
  std::size_t total = 0;
  while (total < into.size()) {
    const std::size_t room = std::min(into.size() - total, kMaxCall);
    const int outcome = SSL_read(ssl_.get(), into.data() + total, static_cast<int>(room));
    if (outcome <= 0) return result_after(SSL_get_error(ssl_.get(), outcome), total);
    total += static_cast<std::size_t>(outcome);
    // Asked once more, the library would make a buffer to learn this with.
    if (socket_.is_drained() && SSL_has_pending(ssl_.get()) == 0) {
      return {.count = total, .is_drained = true};
    }
  }
  return {.count = total};
}

IoResult Session::write(std::span<const std::byte> bytes) {
  const std::size_t size = std::min(bytes.size(), kMaxCall);
  const int outcome = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(size));
  if (outcome > 0) return {.count = static_cast<std::size_t>(outcome)};
  return result_after(SSL_get_error(ssl_.get(), outcome), 0);
}

void Session::say_farewell() {
  socket_.hold_for_fin();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

}  // namespace sluice::net::aws_lc
