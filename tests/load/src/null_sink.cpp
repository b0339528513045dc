#include "null_sink.h"

#include "sink_limit.h"
#include "sink_protocol.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <format>
#include <list>
#include <optional>
#include <vector>

#include <sluice/base/check.h>
#include <sluice/base/clock.h>
#include <sluice/mqtt/decoder.h>
#include <sluice/mqtt/encoder.h>
#include <sluice/swarm/tls.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::load {

namespace {

constexpr std::size_t kReadSize = 64 * 1024;
constexpr std::uint32_t kMaxPacketSize = 16 * 1024 * 1024;
constexpr std::size_t kEvents = 512;

struct Peer {
  int fd = -1;
  mqtt::Version version = mqtt::Version::kV311;
  bool is_handshaking = false;
  bool awaits_room = false;
  std::unique_ptr<swarm::TlsStream> tls{};
  std::vector<std::byte> input{};   // the beginning of a packet
  std::vector<std::byte> output{};  // what the socket did not take
  std::list<Peer>::iterator self{};
};

/// Closes without leaving anything behind in the kernel.
void reset(int fd) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd);
}

}  // namespace

struct NullSink::Impl {
  ~Impl();
  void accept_all();
  void handle(Peer& peer, std::uint32_t events);
  bool read(Peer& peer);
  bool take(Peer& peer, std::span<const std::byte> bytes);
  bool send(Peer& peer, std::span<const std::byte> bytes);
  bool flush(Peer& peer);
  void ask(int operation, Peer& peer, std::uint32_t events) const;
  void close(Peer& peer);

  int listener = -1;
  int epoll = -1;
  int wake = -1;
  SinkFault fault = SinkFault::kNone;
  bool forwards = false;
  SystemClock clock{};
  SinkLimit limit{0};
  std::optional<swarm::TlsContext> tls{};
  std::list<Peer> peers{};
  Peer* subscriber = nullptr;
  SinkAnswers answers{};
  std::vector<std::byte> buffer = std::vector<std::byte>(kReadSize);
};

NullSink::NullSink(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NullSink::~NullSink() = default;

NullSink::Impl::~Impl() {
  while (!peers.empty()) close(peers.front());
  for (const int fd : {listener, epoll, wake}) {
    if (fd >= 0) ::close(fd);
  }
}

Result<std::unique_ptr<NullSink>> NullSink::make(const Options& options) {
  auto impl = std::make_unique<Impl>();
  impl->fault = sink_fault(options.fault);
  impl->forwards = options.forward;
  impl->limit = SinkLimit(options.limit);
  if (options.tls) {
    SLUICE_TRY_ASSIGN(impl->tls, swarm::TlsContext::make(swarm::TlsContext::Side::kServer,
                                                         {.ca_file = options.ca,
                                                          .cert_file = options.cert,
                                                          .key_file = options.key,
                                                          .allow_1_3 = !options.tls12}));
  }
  impl->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(options.port));
  if (inet_pton(AF_INET, options.host.c_str(), &address.sin_addr) != 1) {
    return fail(ErrorCode::kInvalidArgument, options.host + " is no IPv4 address");
  }
  const int on = 1;
  setsockopt(impl->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(impl->listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(impl->listener, SOMAXCONN) != 0) {
    return fail(ErrorCode::kUnavailable,
                std::format("{}:{}: {}", options.host, options.port, std::strerror(errno)));
  }
  impl->epoll = epoll_create1(EPOLL_CLOEXEC);
  impl->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  for (int* fd : {&impl->listener, &impl->wake}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = fd;
    SLUICE_CHECK(epoll_ctl(impl->epoll, EPOLL_CTL_ADD, *fd, &event) == 0);
  }
  return std::unique_ptr<NullSink>(new NullSink(std::move(impl)));
}

std::uint16_t NullSink::port() const {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(impl_->listener, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

void NullSink::run(std::stop_token stop) {
  const std::stop_callback wakes(stop, [this] { eventfd_write(impl_->wake, 1); });
  std::array<epoll_event, kEvents> events;
  while (!stop.stop_requested()) {
    const int count = epoll_wait(impl_->epoll, events.data(), kEvents, -1);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.ptr == &impl_->listener) {
        impl_->accept_all();
      } else if (event.data.ptr != &impl_->wake) {
        impl_->handle(*static_cast<Peer*>(event.data.ptr), event.events);
      }
    }
  }
  eventfd_t ignored = 0;
  eventfd_read(impl_->wake, &ignored);
}

void NullSink::Impl::accept_all() {
  for (int fd = 0; (fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    if (!limit.admits(clock.mono())) {
      reset(fd);
      continue;
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Peer& peer = peers.emplace_front();
    peer.fd = fd;
    peer.self = peers.begin();
    if (tls) peer.tls = tls->accept(fd);
    peer.is_handshaking = tls.has_value();
    ask(EPOLL_CTL_ADD, peer, EPOLLIN);
  }
}

void NullSink::Impl::ask(int operation, Peer& peer, std::uint32_t events) const {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &peer;
  SLUICE_CHECK(epoll_ctl(epoll, operation, peer.fd, &event) == 0);
}

/// Only the peer whose event is handled may be closed: later events of the same batch would find
/// any other gone. A subscriber that fails while it is forwarded to is left to its own event.
void NullSink::Impl::handle(Peer& peer, std::uint32_t events) {
  if (peer.is_handshaking) {
    const auto step = peer.tls->handshake();
    if (step == swarm::TlsStream::Step::kClosed || step == swarm::TlsStream::Step::kFailed)
      return close(peer);
    peer.is_handshaking = step != swarm::TlsStream::Step::kDone;
    if (peer.is_handshaking) return;
  }
  if ((events & EPOLLOUT) != 0 && !flush(peer)) return close(peer);
  if (!read(peer)) close(peer);
}

bool NullSink::Impl::read(Peer& peer) {
  while (true) {
    const std::size_t kept = peer.input.size();
    if (buffer.size() < kept + kReadSize) buffer.resize(kept + kReadSize);
    std::ranges::copy(peer.input, buffer.begin());
    const auto target = std::span(buffer).subspan(kept, kReadSize);
    std::size_t count = 0;
    if (peer.tls) {
      const auto step = peer.tls->read(target, count);
      if (step == swarm::TlsStream::Step::kWantRead || step == swarm::TlsStream::Step::kWantWrite)
        return true;
      if (step != swarm::TlsStream::Step::kDone) return false;
    } else {
      const ssize_t result = recv(peer.fd, target.data(), target.size(), 0);
      if (result < 0 && (errno == EAGAIN || errno == EINTR)) return true;
      if (result <= 0) return false;
      count = static_cast<std::size_t>(result);
    }
    if (!take(peer, std::span(buffer).first(kept + count))) return false;
    if (!peer.tls && count < kReadSize) return true;
  }
}

bool NullSink::Impl::take(Peer& peer, std::span<const std::byte> bytes) {
  answers.to_peer.clear();
  answers.to_subscriber.clear();
  answers.has_subscribed = false;
  while (true) {
    const auto frame = mqtt::next_frame(bytes, kMaxPacketSize);
    if (!frame) return false;
    if (!*frame) break;
    if (!answer(**frame, peer.version, fault, forwards, answers)) return false;
    bytes = bytes.subspan((*frame)->size);
  }
  peer.input.assign(bytes.begin(), bytes.end());
  if (answers.has_subscribed) subscriber = &peer;
  if (subscriber != nullptr && !answers.to_subscriber.empty()) {
    send(*subscriber, answers.to_subscriber);
  }
  return answers.to_peer.empty() || send(peer, answers.to_peer);
}

bool NullSink::Impl::send(Peer& peer, std::span<const std::byte> bytes) {
  const bool was_empty = peer.output.empty();
  if (was_empty && !peer.tls) {
    const ssize_t sent = ::send(peer.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (sent > 0) bytes = bytes.subspan(static_cast<std::size_t>(sent));
    if (bytes.empty()) return true;
  }
  peer.output.insert(peer.output.end(), bytes.begin(), bytes.end());
  return !was_empty || flush(peer);
}

bool NullSink::Impl::flush(Peer& peer) {
  std::size_t done = 0;
  while (done < peer.output.size()) {
    const auto rest = std::span<const std::byte>(peer.output).subspan(done);
    std::size_t count = 0;
    if (peer.tls) {
      const auto step = peer.tls->write(rest, count);
      if (step == swarm::TlsStream::Step::kWantRead || step == swarm::TlsStream::Step::kWantWrite)
        break;
      if (step != swarm::TlsStream::Step::kDone) return false;
    } else {
      const ssize_t sent = ::send(peer.fd, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent < 0 && (errno == EAGAIN || errno == EINTR)) break;
      if (sent < 0) return false;
      count = static_cast<std::size_t>(sent);
    }
    done += count;
  }
  peer.output.erase(peer.output.begin(), peer.output.begin() + static_cast<std::ptrdiff_t>(done));
  if (peer.awaits_room != !peer.output.empty()) {
    peer.awaits_room = !peer.awaits_room;
    ask(EPOLL_CTL_MOD, peer,
        EPOLLIN | (peer.awaits_room ? static_cast<std::uint32_t>(EPOLLOUT) : 0U));
  }
  return true;
}

void NullSink::Impl::close(Peer& peer) {
  if (subscriber == &peer) subscriber = nullptr;
  ::close(peer.fd);
  peers.erase(peer.self);
}

}  // namespace sluice::load
