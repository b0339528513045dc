#include "transport.h"

#include "openssl.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include <sluice/base/check.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::http {
namespace {

int clamped(std::size_t size) {
  return static_cast<int>(std::min<std::size_t>(size, std::numeric_limits<int>::max()));
}

}  // namespace

Transport::Transport(int fd) : fd_(fd) {}

Transport::Transport(Transport&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), ssl_(std::exchange(other.ssl_, nullptr)) {}

Transport::~Transport() {
  SSL_free(ssl_);
  if (fd_ >= 0) close(fd_);
}

Result<> Transport::accept_tls(ssl_ctx_st* context) {
  SLUICE_CHECK(ssl_ == nullptr);
  ssl_ = SSL_new(context);
  BIO* const bio = ssl_ == nullptr ? nullptr : new_socket_bio(fd_);
  if (bio == nullptr) return fail(ErrorCode::kInternal, "TLS: " + take_openssl_error());
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_accept_state(ssl_);
  return {};
}

Transport::Step Transport::tls_step(int outcome) {
  if (outcome > 0) return {Io::kDone, static_cast<std::size_t>(outcome)};
  switch (SSL_get_error(ssl_, outcome)) {
    case SSL_ERROR_WANT_READ:
      return {Io::kWantRead};
    case SSL_ERROR_WANT_WRITE:
      return {Io::kWantWrite};
    case SSL_ERROR_ZERO_RETURN:
      return {Io::kEnd};
    default:
      return {Io::kBroken};
  }
}

Transport::Step Transport::try_handshake() {
  ERR_clear_error();
  return ssl_ == nullptr ? Step{Io::kDone} : tls_step(SSL_do_handshake(ssl_));
}

Transport::Step Transport::try_read(std::span<char> out) {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    return tls_step(SSL_read(ssl_, out.data(), clamped(out.size())));
  }
  while (true) {
    const ssize_t count = recv(fd_, out.data(), out.size(), 0);
    if (count > 0) return {Io::kDone, static_cast<std::size_t>(count)};
    if (count == 0) return {Io::kEnd};
    if (errno == EINTR) continue;
    return {errno == EAGAIN || errno == EWOULDBLOCK ? Io::kWantRead : Io::kBroken};
  }
}

Transport::Step Transport::try_write(std::string_view bytes) {
  if (bytes.empty()) return {Io::kDone};
  if (ssl_ != nullptr) {
    ERR_clear_error();
    return tls_step(SSL_write(ssl_, bytes.data(), clamped(bytes.size())));
  }
  while (true) {
    const ssize_t count = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count >= 0) return {Io::kDone, static_cast<std::size_t>(count)};
    if (errno == EINTR) continue;
    return {errno == EAGAIN || errno == EWOULDBLOCK ? Io::kWantWrite : Io::kBroken};
  }
}

bool Transport::has_pending() const { return ssl_ != nullptr && SSL_pending(ssl_) > 0; }

Result<> Transport::wait(Io wanted, const Clock& clock, MonoTime deadline) const {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.mono());
    if (left.count() <= 0) return fail(ErrorCode::kDeadlineExceeded, "the peer was too slow");
    pollfd watched{.fd = fd_,
                   .events = static_cast<short>(wanted == Io::kWantRead ? POLLIN : POLLOUT),
                   .revents = 0};
    // A day at most, so that the count fits whatever the deadline is.
    const int ready =
        poll(&watched, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 86'400'000)));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return fail(ErrorCode::kInternal, "poll failed");
  }
}

Result<std::size_t> Transport::read_some(std::span<char> out, const Clock& clock,
                                         MonoTime deadline) {
  while (true) {
    const Step step = try_read(out);
    if (step.io == Io::kDone) return step.count;
    if (step.io == Io::kEnd) return 0;
    if (step.io == Io::kBroken) return fail(ErrorCode::kCancelled, "the peer broke off");
    SLUICE_TRY(wait(step.io, clock, deadline));
  }
}

Result<> Transport::write_all(std::string_view bytes, const Clock& clock,
                              std::chrono::milliseconds patience, MonoTime deadline) {
  while (!bytes.empty()) {
    const Step step = try_write(bytes);
    if (step.io == Io::kDone) {
      bytes.remove_prefix(step.count);
      // A peer that takes a little each time must not go on for ever.
      if (!bytes.empty() && clock.mono() >= deadline) {
        return fail(ErrorCode::kDeadlineExceeded, "the peer was too slow");
      }
      continue;
    }
    if (step.io == Io::kBroken || step.io == Io::kEnd) {
      return fail(ErrorCode::kCancelled, "the peer broke off");
    }
    SLUICE_TRY(wait(step.io, clock, std::min(deadline, clock.mono() + patience)));
  }
  return {};
}

void Transport::finish_writing() {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
    ERR_clear_error();
  }
  shutdown(fd_, SHUT_WR);
}

void Transport::cut() const { shutdown(fd_, SHUT_RDWR); }

}  // namespace sluice::http
