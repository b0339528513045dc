#include <sluice/net/stream.h>

#include "tls_state.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace sluice::net {
namespace {

constexpr std::size_t kMaxParts = 64;            // more are left for the next call
constexpr std::size_t kRecordBytes = 16 * 1024;  // TLS' longest record

IoResult after_error() {
  const bool is_later = errno == EAGAIN || errno == EINTR;
  return {.status = is_later ? IoStatus::kWouldBlock : IoStatus::kFailed, .is_drained = is_later};
}

}  // namespace

TlsSession::TlsSession(std::unique_ptr<HandshakeData> data) : data_(std::move(data)) {}
TlsSession::~TlsSession() = default;

Stream::Stream(Socket socket, std::unique_ptr<TlsSession> tls)
    : socket_(std::move(socket)), tls_(std::move(tls)) {}

Stream::Stream() = default;
Stream::Stream(Socket socket) : socket_(std::move(socket)) {}

Stream::Stream(Stream&& other) noexcept
    : socket_(std::move(other.socket_)),
      is_established_(other.is_established_),
      is_resumed_(other.is_resumed_),
      is_broken_(other.is_broken_),
      tls_(std::move(other.tls_)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(is_established_, other.is_established_);
  std::swap(is_resumed_, other.is_resumed_);
  std::swap(is_broken_, other.is_broken_);
  std::swap(tls_, other.tls_);
  return *this;
}

Stream::~Stream() { tls_.reset(); }  // before the socket that it uses

Handshake Stream::handshake() {
  if (!tls_ || is_established_) return Handshake::kDone;
  if (is_broken_) return Handshake::kFailed;
  if (tls_->data()->psk_step == PskStep::kAsked) return Handshake::kNeedPsk;
  const Handshake step = tls_->handshake();
  if (step == Handshake::kDone) finish_handshake();
  if (step == Handshake::kFailed) fail_handshake();
  return step;
}

void Stream::finish_handshake() {
  HandshakeData& data = *tls_->data();
  TlsMetrics& metrics = data.state->metrics;
  is_resumed_ = tls_->is_resumed();
  is_established_ = true;
  (data.psk_step != PskStep::kNone ? metrics.psk
   : is_resumed_                   ? metrics.resumed
                                   : metrics.full)
      .add();
  data.psk = Secret();
  if (!data.identity && data.psk_identity.empty()) tls_->take_data();
}

void Stream::fail_handshake() {
  const HandshakeData& data = *tls_->data();
  data.state->metrics.failed(data.failure);
  is_broken_ = true;
  ::shutdown(fd(), SHUT_WR);
}

std::string_view Stream::failure() const {
  const HandshakeData* const data = tls_ ? tls_->data() : nullptr;
  return data == nullptr ? std::string_view() : data->failure;
}

PeerIdentityPtr Stream::take_identity() {
  if (!tls_ || !is_established_) return nullptr;
  const auto data = tls_->take_data();
  return data ? std::move(data->identity) : nullptr;
}

std::string_view Stream::psk_identity() const {
  const HandshakeData* const data = tls_ ? tls_->data() : nullptr;
  return data == nullptr ? std::string_view() : data->psk_identity;
}

std::string Stream::take_psk_identity() {
  if (!tls_ || !is_established_) return {};
  const auto data = tls_->take_data();
  return data ? std::move(data->psk_identity) : std::string();
}

void Stream::answer_psk(std::optional<Secret> key) {
  HandshakeData* const data = tls_ ? tls_->data() : nullptr;
  if (data == nullptr || data->psk_step != PskStep::kAsked) return;
  if (key) data->psk = *std::move(key);
  data->psk_step = PskStep::kAnswered;
}

std::string_view Stream::protocol() const { return tls_ ? tls_->protocol() : std::string_view(); }

IoResult Stream::read(std::span<std::byte> into) {
  if (!tls_) {
    const ssize_t count = recv(fd(), into.data(), into.size(), 0);
    if (count < 0) return after_error();
    if (count == 0 && !into.empty()) return {.status = IoStatus::kEnd};
    const auto got = static_cast<std::size_t>(count);
    return {.count = got, .is_drained = got < into.size()};
  }
  if (is_broken_) return {.status = IoStatus::kFailed};
  IoResult result = tls_->read(into);
  is_broken_ = result.status == IoStatus::kFailed;
  // What ended it is said again to whoever asks again.
  if (result.count > 0) result.status = IoStatus::kOk;
  return result;
}

IoResult Stream::discard(std::span<std::byte> buffer) {
  if (tls_) tls_->trust();  // or the kernel would wait for whole records
  tls_.reset();
  return read(buffer);
}

IoResult Stream::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return {};
  if (!tls_) {
    const ssize_t count = send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0) return after_error();
    return {.count = static_cast<std::size_t>(count)};
  }
  if (is_broken_) return {.status = IoStatus::kFailed};
  const IoResult result = tls_->write(bytes);
  is_broken_ = result.status == IoStatus::kFailed;
  return result;
}

IoResult Stream::write(std::span<const std::span<const std::byte>> parts) {
  if (!tls_) {
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

void Stream::trust() {
  if (tls_) tls_->trust();
}

void Stream::shutdown() {
  if (!is_open()) return;
  if (tls_ && is_established_ && !is_broken_) tls_->say_farewell();
  ::shutdown(fd(), SHUT_WR);
}

void Stream::close() {
  tls_.reset();
  socket_.close();
}

void Stream::reset() {
  tls_.reset();
  socket_.reset();
}

SocketAddress Stream::peer() const {
  sockaddr_storage name{};
  socklen_t size = sizeof(name);
  if (getpeername(fd(), reinterpret_cast<sockaddr*>(&name), &size) != 0) return {};
  return SocketAddress::of(name);
}

std::chrono::milliseconds Stream::quiet_for() const {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (getsockopt(fd(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) {
    return std::chrono::milliseconds::max();
  }
  return std::chrono::milliseconds(info.tcpi_last_data_recv);
}

}  // namespace sluice::net
