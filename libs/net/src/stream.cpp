#include <sluice/net/stream.h>

#include "socket_bio.h"
#include "tls_state.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace sluice::net {
namespace {

constexpr std::size_t kMaxParts = 64;                   // more are left for the next call
constexpr std::size_t kRecordBytes = 16 * 1024;         // TLS' longest record
constexpr std::size_t kMaxCall = std::size_t{1} << 30;  // so that no length overflows OpenSSL's int

IoResult after_error() {
  const bool is_later = errno == EAGAIN || errno == EINTR;
  return {.status = is_later ? IoStatus::kWouldBlock : IoStatus::kFailed, .is_drained = is_later};
}

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

Stream::Stream(Stream&& other) noexcept
    : socket_(std::move(other.socket_)),
      is_established_(other.is_established_),
      is_resumed_(other.is_resumed_),
      is_broken_(other.is_broken_),
      ssl_(std::exchange(other.ssl_, nullptr)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(is_established_, other.is_established_);
  std::swap(is_resumed_, other.is_resumed_);
  std::swap(is_broken_, other.is_broken_);
  std::swap(ssl_, other.ssl_);
  return *this;
}

Stream::~Stream() { free_tls(); }

void Stream::free_tls() {
  if (ssl_ == nullptr) return;
  const std::unique_ptr<HandshakeData> data(handshake_data(ssl_));
  if (data && data->psk_step == PskStep::kAsked) {
    // The job's stack is only freed when its function returns: let it, into the void.
    detach_socket_bio(SSL_get_rbio(ssl_));
    data->psk_step = PskStep::kAnswered;
    SSL_do_handshake(ssl_);
    ERR_clear_error();
  }
  SSL_free(std::exchange(ssl_, nullptr));
}

Handshake Stream::handshake() {
  if (ssl_ == nullptr || is_established_) return Handshake::kDone;
  if (is_broken_) return Handshake::kFailed;
  HandshakeData& data = *handshake_data(ssl_);
  if (data.psk_step == PskStep::kAsked) return Handshake::kNeedPsk;
  rearm_socket_bio(SSL_get_rbio(ssl_));
  ERR_clear_error();
  const int outcome = SSL_do_handshake(ssl_);
  if (outcome == 1) return finish_handshake();
  switch (const int error = SSL_get_error(ssl_, outcome)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return Handshake::kWaiting;
    case SSL_ERROR_WANT_ASYNC:
      return Handshake::kNeedPsk;
    default:
      return fail_handshake(failure_word(error));
  }
}

Handshake Stream::finish_handshake() {
  HandshakeData& data = *handshake_data(ssl_);
  TlsMetrics& metrics = data.state->metrics;
  is_resumed_ = SSL_session_reused(ssl_) == 1 && data.psk_step == PskStep::kNone;
  if (is_resumed_ && !restore_identity(ssl_, data)) return fail_handshake("revoked");
  is_established_ = true;
  (data.psk_step != PskStep::kNone ? metrics.psk
   : is_resumed_                   ? metrics.resumed
                                   : metrics.full)
      .add();
  SSL_clear_mode(ssl_, SSL_MODE_ASYNC);
  data.psk = Secret();
  // OpenSSL keeps the session, and with it the client's certificate, as long as the connection.
  // There is no way to take it away: SSL_set_session() with an empty one resets the record layer.
  if (!data.identity && data.psk_identity.empty()) {
    delete &data;
    SSL_set_app_data(ssl_, nullptr);
  }
  return Handshake::kDone;
}

Handshake Stream::fail_handshake(std::string_view why) {
  HandshakeData& data = *handshake_data(ssl_);
  if (data.failure.empty()) data.failure = why;
  data.state->metrics.failed(data.failure);
  is_broken_ = true;
  // A close with bytes unread would send RST, which makes the client forget our alert.
  std::array<std::byte, 4096> rest;
  while (recv(fd(), rest.data(), rest.size(), 0) == static_cast<ssize_t>(rest.size())) {
  }
  ::shutdown(fd(), SHUT_WR);
  return Handshake::kFailed;
}

std::string_view Stream::failure() const {
  const HandshakeData* const data = ssl_ == nullptr ? nullptr : handshake_data(ssl_);
  return data == nullptr ? std::string_view() : data->failure;
}

PeerIdentityPtr Stream::take_identity() {
  if (ssl_ == nullptr || !is_established_) return nullptr;
  const std::unique_ptr<HandshakeData> data(handshake_data(ssl_));
  SSL_set_app_data(ssl_, nullptr);
  return data ? std::move(data->identity) : nullptr;
}

std::string_view Stream::psk_identity() const {
  const HandshakeData* const data = ssl_ == nullptr ? nullptr : handshake_data(ssl_);
  return data == nullptr ? std::string_view() : data->psk_identity;
}

std::string Stream::take_psk_identity() {
  if (ssl_ == nullptr || !is_established_) return {};
  const std::unique_ptr<HandshakeData> data(handshake_data(ssl_));
  SSL_set_app_data(ssl_, nullptr);
  return data ? std::move(data->psk_identity) : std::string();
}

void Stream::answer_psk(std::optional<Secret> key) {
  HandshakeData* const data = ssl_ == nullptr ? nullptr : handshake_data(ssl_);
  if (data == nullptr || data->psk_step != PskStep::kAsked) return;
  if (key) data->psk = *std::move(key);
  data->psk_step = PskStep::kAnswered;
}

std::string_view Stream::protocol() const {
  return ssl_ == nullptr ? std::string_view() : SSL_get_version(ssl_);
}

IoResult Stream::read(std::span<std::byte> into) {
  if (ssl_ == nullptr) {
    const ssize_t count = recv(fd(), into.data(), into.size(), 0);
    if (count < 0) return after_error();
    if (count == 0 && !into.empty()) return {.status = IoStatus::kEnd};
    const auto got = static_cast<std::size_t>(count);
    return {.count = got, .is_drained = got < into.size()};
  }
  if (is_broken_) return {.status = IoStatus::kFailed};
  rearm_socket_bio(SSL_get_rbio(ssl_));
  std::size_t total = 0;
  while (total < into.size()) {
    std::size_t count = 0;
    ERR_clear_error();
    const int outcome = SSL_read_ex(ssl_, into.data() + total, into.size() - total, &count);
    if (outcome != 1) return tls_result(outcome, total);
    total += count;
  }
  return {.count = total};
}

/// What a call of OpenSSL that did not succeed comes to, after `count` bytes before it.
IoResult Stream::tls_result(int outcome, std::size_t count) {
  const int error = SSL_get_error(ssl_, outcome);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
    return {.count = count,
            .status = count > 0 ? IoStatus::kOk : IoStatus::kWouldBlock,
            .is_drained = true};
  }
  if (error == SSL_ERROR_ZERO_RETURN) {
    // Said once more to whoever asks once more.
    return {.count = count, .status = count > 0 ? IoStatus::kOk : IoStatus::kEnd};
  }
  is_broken_ = true;
  return {.count = count, .status = count > 0 ? IoStatus::kOk : IoStatus::kFailed};
}

IoResult Stream::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return {};
  if (ssl_ == nullptr) {
    const ssize_t count = send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0) return after_error();
    return {.count = static_cast<std::size_t>(count)};
  }
  if (is_broken_) return {.status = IoStatus::kFailed};
  std::size_t count = 0;
  ERR_clear_error();
  const int outcome = SSL_write_ex(ssl_, bytes.data(), std::min(bytes.size(), kMaxCall), &count);
  if (outcome == 1) return {.count = count};
  return tls_result(outcome, 0);
}

IoResult Stream::write(std::span<const std::span<const std::byte>> parts) {
  if (ssl_ == nullptr) {
    std::array<iovec, kMaxParts> vectors{};
    const std::size_t count = std::min(parts.size(), kMaxParts);
    for (std::size_t i = 0; i < count; ++i) {
      // iovec serves reading too, hence its lack of const.
      vectors[i] = {.iov_base = const_cast<std::byte*>(parts[i].data()),
                    .iov_len = parts[i].size()};
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    const ssize_t sent = sendmsg(fd(), &message, MSG_NOSIGNAL);
    if (sent < 0) return after_error();
    return {.count = static_cast<std::size_t>(sent)};
  }
  // One record for many small packets: copying them costs less than a record each.
  std::array<std::byte, kRecordBytes> record;
  std::size_t size = 0;
  for (const auto part : parts) {
    const std::size_t taken = std::min(part.size(), record.size() - size);
    std::memcpy(record.data() + size, part.data(), taken);
    size += taken;
    if (size == record.size()) break;
  }
  return write(std::span<const std::byte>(record.data(), size));
}

void Stream::shutdown() {
  if (!is_open()) return;
  if (ssl_ != nullptr && is_established_ && !is_broken_) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
    ERR_clear_error();
  }
  ::shutdown(fd(), SHUT_WR);
}

void Stream::close() {
  free_tls();
  socket_.close();
}

void Stream::reset() {
  free_tls();
  socket_.reset();
}

SocketAddress Stream::peer() const {
  sockaddr_storage name{};
  socklen_t size = sizeof(name);
  if (getpeername(fd(), reinterpret_cast<sockaddr*>(&name), &size) != 0) return {};
  return SocketAddress::of(name);
}

}  // namespace sluice::net
