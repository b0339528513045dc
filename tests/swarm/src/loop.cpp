#include <sluice/swarm/loop.h>

#include <algorithm>
#include <cerrno>
#include <format>

#include <sluice/base/check.h>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::swarm {

Result<Route> Route::make(const Target& target) {
  SLUICE_TRY_ASSIGN(const Dialer dialer, Dialer::make(target.host, target.port, target.sources));
  return Route(target, dialer);
}

Loop::Loop(const Route& route, const Identities& identities, const Clock& clock)
    : route_(route),
      identities_(&identities),
      clock_(&clock),
      epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
      read_buffer_(kReadSize) {
  SLUICE_CHECK(epoll_fd_ >= 0);
}

Loop::~Loop() { ::close(epoll_fd_); }

void Loop::open(Connection& connection, Handler& handler, std::uint32_t index, const Route& route) {
  SLUICE_CHECK(connection.state_ == Connection::State::kClosed);
  connection.handler_ = &handler;
  connection.route_ = &route;
  connection.had_session_ = false;
  connection.index_ = index;
  connection.began_ = now();
  connection.fd_ = route.dialer().dial(index);
  if (connection.fd_ < 0) return end(connection, tcp_reason(errno));
  connection.state_ = Connection::State::kTcp;
  connection.awaits_room_ = true;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT;
  event.data.ptr = &connection;
  SLUICE_CHECK(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, connection.fd_, &event) == 0);
}

void Loop::poll(std::chrono::nanoseconds timeout) {
  std::array<epoll_event, kEvents> events;
  const timespec wait{.tv_sec = timeout.count() / 1'000'000'000,
                      .tv_nsec = timeout.count() % 1'000'000'000};
  const int count = epoll_pwait2(epoll_fd_, events.data(), kEvents, &wait, nullptr);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    handle(*static_cast<Connection*>(event.data.ptr), event.events);
  }
}

void Loop::handle(Connection& connection, std::uint32_t events) {
  switch (connection.state_) {
    case Connection::State::kClosed:
      return;  // closed by the handler of an earlier event
    case Connection::State::kTcp: {
      int error = 0;
      socklen_t size = sizeof error;
      getsockopt(connection.fd_, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return end(connection, tcp_reason(error));
      await_room(connection, false);
      const Target& target = connection.route_->target();
      if (target.tls == nullptr) return send_connect(connection);
      connection.tls_ = target.tls->connect(connection.fd_, connection.session_, target.resumes);
      connection.state_ = Connection::State::kTls;
      return advance_tls(connection);
    }
    case Connection::State::kTls:
      return advance_tls(connection);
    case Connection::State::kConnecting:
    case Connection::State::kOpen:
      if ((events & EPOLLOUT) != 0) flush(connection);
      if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) read(connection);
  }
}

void Loop::advance_tls(Connection& connection) {
  const auto step = connection.tls_->handshake();
  if (step == TlsStream::Step::kDone) {
    await_room(connection, false);
    return send_connect(connection);
  }
  if (step == TlsStream::Step::kWantRead) return await_room(connection, false);
  if (step == TlsStream::Step::kWantWrite) return await_room(connection, true);
  end(connection, "tls_handshake_failed");
}

void Loop::send_connect(Connection& connection) {
  const Identity identity = identities_->identity(connection.index_);
  const Target& target = connection.route_->target();
  mqtt::Connect connect{.version = target.version,
                        .clean_start = target.clean_start,
                        .keep_alive_seconds = target.keep_alive_seconds,
                        .client_id = identity.client_id,
                        .session_expiry_seconds = target.session_expiry_seconds};
  connect.user_name = identity.user;
  if (identity.password) connect.password = std::as_bytes(std::span(*identity.password));
  connection.state_ = Connection::State::kConnecting;
  scratch_.clear();
  encode(connect, scratch_);
  send(connection, scratch_);
}

void Loop::read(Connection& connection) {
  using enum TlsStream::Step;
  // TLS may hold more than one read gives, which epoll does not know of: until it wants more.
  while (connection.state_ >= Connection::State::kConnecting) {
    const std::size_t kept = connection.input_.size();
    if (read_buffer_.size() < kept + kReadSize) read_buffer_.resize(kept + kReadSize);
    std::ranges::copy(connection.input_, read_buffer_.begin());
    const auto target = std::span(read_buffer_).subspan(kept, kReadSize);
    std::size_t count = 0;
    if (connection.tls_) {
      const auto step = connection.tls_->read(target, count);
      if (step == kWantRead || step == kWantWrite) return;
      if (step != kDone) {
        return end(connection, step == kClosed ? "closed_by_server" : "tls_broken");
      }
    } else {
      const ssize_t result = recv(connection.fd_, target.data(), target.size(), 0);
      if (result < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (result < 0) return end(connection, tcp_reason(errno));
      if (result == 0) return end(connection, "closed_by_server");
      count = static_cast<std::size_t>(result);
    }
    deliver(connection, std::span(read_buffer_).first(kept + count));
    if (!connection.tls_ && count < kReadSize) return;
  }
}

void Loop::deliver(Connection& connection, std::span<const std::byte> bytes) {
  connection.input_.clear();
  while (true) {
    const auto frame = mqtt::next_frame(bytes, kMaxPacketSize);
    if (!frame) return end(connection, frame.error().what);
    if (!*frame) break;
    bytes = bytes.subspan((*frame)->size);
    if (connection.state_ == Connection::State::kConnecting) {
      on_connack(connection, **frame);
    } else if ((*frame)->type == mqtt::PacketType::kDisconnect) {
      const auto packet = decode_disconnect(**frame, connection.version());
      const auto reason = packet ? packet->reason : mqtt::ReasonCode::kMalformedPacket;
      return end(connection, std::format("disconnected_{}", to_string(reason)));
    } else {
      connection.handler_->on_frame(connection, **frame);
    }
    if (connection.state_ != Connection::State::kOpen) return;  // ended, or begun anew
  }
  connection.input_.assign(bytes.begin(), bytes.end());
  if (connection.state_ == Connection::State::kOpen) {
    connection.handler_->on_read_done(connection);
  }
}

void Loop::on_connack(Connection& connection, const mqtt::Frame& frame) {
  if (frame.type != mqtt::PacketType::kConnack) return end(connection, "no_connack");
  const auto packet = decode_connack(frame, connection.version());
  if (!packet) return end(connection, packet.error().what);
  if (is_failure(packet->reason)) {
    return end(connection, std::format("refused_{}", to_string(packet->reason)));
  }
  connection.state_ = Connection::State::kOpen;
  connection.had_session_ = packet->session_present;
  connection.handler_->on_open(connection);
}

std::size_t Loop::write_some(Connection& connection, std::span<const std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto rest = bytes.subspan(done);
    std::size_t count = 0;
    if (connection.tls_) {
      const auto step = connection.tls_->write(rest, count);
      if (step == TlsStream::Step::kWantWrite || step == TlsStream::Step::kWantRead) break;
      if (step != TlsStream::Step::kDone) {
        end(connection, "tls_broken");
        break;
      }
    } else {
      const ssize_t result = ::send(connection.fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (result < 0 && (errno == EAGAIN || errno == EINTR)) break;
      if (result < 0) {
        end(connection, tcp_reason(errno));
        break;
      }
      count = static_cast<std::size_t>(result);
    }
    done += count;
  }
  return done;
}

void Loop::send(Connection& connection, std::span<const std::byte> bytes) {
  if (connection.state_ < Connection::State::kConnecting) return;
  std::size_t done = 0;
  if (connection.output_.empty()) done = write_some(connection, bytes);
  if (connection.state_ < Connection::State::kConnecting || done == bytes.size()) return;
  const auto rest = bytes.subspan(done);
  connection.output_.insert(connection.output_.end(), rest.begin(), rest.end());
  await_room(connection, true);
}

void Loop::flush(Connection& connection) {
  const std::size_t done = write_some(connection, connection.output_);
  if (connection.state_ < Connection::State::kConnecting) return;
  connection.output_.erase(connection.output_.begin(),
                           connection.output_.begin() + static_cast<std::ptrdiff_t>(done));
  if (!connection.output_.empty()) return;
  await_room(connection, false);
  if (connection.state_ == Connection::State::kOpen) connection.handler_->on_writable(connection);
}

void Loop::await_room(Connection& connection, bool awaits) {
  if (connection.awaits_room_ == awaits) return;
  connection.awaits_room_ = awaits;
  epoll_event event{};
  event.events = EPOLLIN | (awaits ? static_cast<std::uint32_t>(EPOLLOUT) : 0U);
  event.data.ptr = &connection;
  SLUICE_CHECK(epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, connection.fd_, &event) == 0);
}

void Loop::disconnect(Connection& connection) {
  if (connection.state_ == Connection::State::kOpen) {
    scratch_.clear();
    encode(mqtt::Disconnect{}, connection.version(), scratch_);
    write_some(connection, scratch_);
    if (connection.tls_) connection.tls_->shut_down();
  }
  drop(connection);
}

void Loop::drop(Connection& connection) {
  if (connection.fd_ >= 0) close(connection);
}

void Loop::close(Connection& connection) {
  connection.tls_.reset();
  ::close(connection.fd_);  // which takes it off the epoll as well
  connection.fd_ = -1;
  connection.state_ = Connection::State::kClosed;
  connection.input_.clear();
  connection.output_.clear();
  connection.awaits_room_ = false;
}

void Loop::end(Connection& connection, std::string_view reason) {
  if (connection.fd_ >= 0) close(connection);
  connection.handler_->on_end(connection, reason);
}

}  // namespace sluice::swarm
