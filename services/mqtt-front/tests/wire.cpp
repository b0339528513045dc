#include "wire.h"

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include <sluice/swarm/tls.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace sluice::front::testing {
namespace {

using Step = swarm::TlsStream::Step;

constexpr std::chrono::seconds kHandshakeLimit{15};
constexpr std::chrono::milliseconds kLongestWait{600'000};  // of a write, in a test that hangs

bool wait_for(int fd, short events, Wire::Time deadline) {
  pollfd wait{.fd = fd, .events = events, .revents = 0};
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const std::int64_t limit = std::clamp<std::int64_t>(left.count(), 0, kLongestWait.count());
    const int ready = ::poll(&wait, 1, static_cast<int>(limit));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

/// For what a step of TLS asks for; false also when it asks for nothing.
bool wait_for(int fd, Step step, Wire::Time deadline) {
  if (step == Step::kWantRead) return wait_for(fd, POLLIN, deadline);
  return step == Step::kWantWrite && wait_for(fd, POLLOUT, deadline);
}

swarm::TlsContext make_context(const std::string& ca_file) {
  auto made = swarm::TlsContext::make(swarm::TlsContext::Side::kClient, {.ca_file = ca_file});
  if (!made) throw std::runtime_error(made.error().message());
  return *std::move(made);
}

}  // namespace

struct Wire::Tls {
  Tls(int fd, const std::string& ca_file)
      : context(make_context(ca_file)), stream(context.connect(fd, session, false)) {}

  swarm::TlsContext context;
  swarm::TlsSession session;
  std::unique_ptr<swarm::TlsStream> stream;
};

Wire::Wire(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
  if (::inet_pton(AF_INET, address.substr(0, colon).c_str(), &target.sin_addr) != 1) {
    throw std::runtime_error("no address: " + address);
  }
  socket_ = net::Socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd(), reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) {
    throw std::runtime_error("cannot connect to " + address);
  }
  const int on = 1;
  ::setsockopt(fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Wire::Wire(Wire&&) noexcept = default;
Wire& Wire::operator=(Wire&& other) noexcept {
  tls_ = std::move(other.tls_);  // first: it uses the socket
  socket_ = std::move(other.socket_);
  return *this;
}
Wire::~Wire() { tls_.reset(); }

void Wire::secure(const std::string& ca_file) {
  if (::fcntl(fd(), F_SETFL, O_NONBLOCK) != 0) throw std::runtime_error("fcntl");
  tls_ = std::make_unique<Tls>(fd(), ca_file);
  const Time deadline = std::chrono::steady_clock::now() + kHandshakeLimit;
  for (Step step = tls_->stream->handshake(); step != Step::kDone;
       step = tls_->stream->handshake()) {
    if (!wait_for(fd(), step, deadline)) throw std::runtime_error("no TLS handshake");
  }
}

bool Wire::write(std::string_view bytes) {
  while (!bytes.empty()) {
    std::size_t count = 0;
    if (tls_) {
      const Step step = tls_->stream->write(std::as_bytes(std::span(bytes)), count);
      if (step != Step::kDone && !wait_for(fd(), step, Time::max())) return false;
    } else {
      const ssize_t sent = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return false;
      count = static_cast<std::size_t>(sent);
    }
    bytes.remove_prefix(count);
  }
  return true;
}

bool Wire::write_below_tls(std::string_view bytes) {
  const ssize_t sent = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(bytes.size());
}

std::ptrdiff_t Wire::read(std::span<char> into, Time deadline) {
  if (!tls_) {
    if (!wait_for(fd(), POLLIN, deadline)) return -1;
    return std::max<ssize_t>(::recv(fd(), into.data(), into.size(), 0), 0);
  }
  while (true) {
    std::size_t count = 0;
    const Step step = tls_->stream->read(std::as_writable_bytes(into), count);
    if (step == Step::kDone) return static_cast<std::ptrdiff_t>(count);
    if (step == Step::kClosed || step == Step::kFailed) return 0;
    if (!wait_for(fd(), step, deadline)) return -1;
  }
}

}  // namespace sluice::front::testing
