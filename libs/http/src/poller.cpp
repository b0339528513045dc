#include "poller.h"

#include "listen_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include <sluice/base/check.h>
#include <sluice/http/problem.h>

#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::http {
namespace {

using namespace std::chrono_literals;

// New connections per turn, so that a flood of them does not starve those that are there.
constexpr int kAcceptsPerTurn = 64;
constexpr std::chrono::seconds kReloadInterval{5};

}  // namespace

Poller::Poller(Core& core, ServerTls* tls, BoundedQueue<Job>& jobs)
    : core_(core), tls_(tls), jobs_(jobs), renewal_(core, tls) {}

Poller::~Poller() {
  for (const int fd : {listener_, spare_, wakeup_}) {
    if (fd >= 0) ::close(fd);
  }
}

Result<std::string> Poller::listen() {
  SLUICE_TRY_ASSIGN(ListenSocket made, open_listen_socket(core_.config.listen));
  listener_ = made.fd;
  if (tls_ == nullptr && !made.is_loopback && !core_.config.allow_plaintext_anywhere) {
    return fail(
        Error(ErrorCode::kFailedPrecondition,
              "plain HTTP is for loopback alone: give a certificate")
            .with_fault("http_tls_cert_file", "is needed to listen on " + core_.config.listen));
  }
  SLUICE_TRY(watched_.open());
  wakeup_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  spare_ = dup(wakeup_);
  if (wakeup_ < 0 || spare_ < 0) return fail(ErrorCode::kInternal, "no descriptors left");
  SLUICE_TRY(watched_.add_source(listener_));
  SLUICE_TRY(watched_.add_source(wakeup_));
  next_reload_ = core_.clock.mono() + kReloadInterval;
  return made.address;
}

void Poller::run() {
  while (true) {
    watched_.wait(tls_ != nullptr ? kReloadInterval : std::chrono::milliseconds(1min),
                  core_.clock.mono(), [this](Connection& connection) { on_event(connection); });
    if (listener_ >= 0) accept_some();
    take_returned();
    expire();

    std::unique_lock lock(mutex_);
    if (is_stopping_ && !is_stopped_) {
      lock.unlock();
      close_watched();
      lock.lock();
      is_stopped_ = true;
      intake_stopped_.notify_all();
    }
    // What lingers has a deadline of its own, so this ends.
    if (is_ending_ && returned_.empty() && watched_.is_empty()) return;
  }
}

void Poller::wake() const {
  const std::uint64_t one = 1;
  // A counter that is full wakes as well.
  static_cast<void>(!write(wakeup_, &one, sizeof(one)));
}

void Poller::give_back(std::unique_ptr<Connection> connection, Ending ending) {
  {
    std::lock_guard lock(mutex_);
    returned_.push_back({std::move(connection), ending});  // never more than there are connections
  }
  wake();
}

void Poller::stop_intake() {
  std::unique_lock lock(mutex_);
  is_stopping_ = true;
  wake();
  intake_stopped_.wait(lock, [&] { return is_stopped_; });
}

void Poller::end() {
  std::lock_guard lock(mutex_);
  is_ending_ = true;
  wake();
}

void Poller::accept_some() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    const int fd = accept4(listener_, reinterpret_cast<sockaddr*>(&address), &size,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE) drop_one_for_lack_of_descriptors();
      return;
    }
    const SocketAddress peer = describe(address);
    // First, so that whoever has too many already makes nobody else give way.
    if (has_too_many(peer.ip)) {
      ::close(fd);
      core_.metrics.closed("address_limit");
      continue;
    }
    if (open_ >= core_.config.max_connections && !make_room()) {
      ::close(fd);
      core_.metrics.closed("connection_limit");
      continue;
    }
    adopt(fd, peer.ip, peer.port);
  }
}

/// Without this the listener would stay readable and the thread would spin.
void Poller::drop_one_for_lack_of_descriptors() {
  core_.metrics.closed("descriptor_limit");
  ::close(std::exchange(spare_, -1));
  const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0) ::close(fd);
  spare_ = dup(wakeup_);
}

bool Poller::has_too_many(const std::string& ip) const {
  const std::int64_t limit = core_.config.max_connections_per_address;
  if (limit == 0) return false;
  const auto found = open_by_address_.find(rate_key_of_ip(ip));
  return found != open_by_address_.end() && found->second >= limit;
}

/// Whoever has been between requests for longest can come back; whoever is new cannot wait.
bool Poller::make_room() {
  Connection* const idlest = watched_.longest_idle();
  if (idlest == nullptr) return false;
  close(*idlest, "connection_limit");
  return true;
}

void Poller::adopt(int fd, const std::string& ip, int port) {
  set_no_delay(fd);
  auto made = std::make_unique<Connection>(Connection{
      .transport = Transport(fd), .peer = {.ip = ip, .port = port, .is_tls = tls_ != nullptr}});
  if (tls_ != nullptr) {
    made->phase = Connection::Phase::kHandshake;
    const auto context = tls_->current();
    if (!made->transport.accept_tls(context.get())) return core_.metrics.closed("tls_handshake");
  }
  ++open_;
  ++open_by_address_[rate_key_of_ip(ip)];
  core_.metrics.accepted.add();
  core_.metrics.connections.add(1);
  Connection& connection = watched_.add(std::move(made));
  end_in(connection, core_.config.head_timeout);
}

void Poller::take_returned() {
  std::uint64_t ignored = 0;
  static_cast<void>(!read(wakeup_, &ignored, sizeof(ignored)));
  std::vector<Returned> returned;
  bool is_stopping = false;
  {
    std::lock_guard lock(mutex_);
    returned.swap(returned_);
    is_stopping = is_stopping_;
  }
  for (Returned& each : returned) {
    const bool is_over = each.ending == Ending::kClose || each.ending == Ending::kCut ||
                         (each.ending == Ending::kKeep && is_stopping);
    if (is_over) {
      // TLS's own farewell tells an answer that is whole from one that was cut.
      if (each.ending != Ending::kCut)
        each.connection->transport.finish_writing();
      else
        core_.metrics.closed("cut");
      forget(std::move(each.connection));
      continue;
    }
    Connection& connection = watched_.add(std::move(each.connection));
    if (each.ending == Ending::kLinger) {
      linger(connection);
      discard(connection);
      continue;
    }
    // Part of the next request may be here already, as bytes or inside TLS, where epoll cannot see
    // it.
    connection.phase =
        connection.buffer.empty() ? Connection::Phase::kIdle : Connection::Phase::kHead;
    end_in(connection, (connection.phase == Connection::Phase::kIdle ? core_.config.idle_timeout
                                                                     : core_.config.head_timeout));
    if (!dispatch_if_complete(connection) && connection.transport.has_pending())
      read_more(connection);
  }
}

void Poller::close_watched() {
  if (listener_ >= 0) {
    watched_.remove_source(listener_);
    ::close(std::exchange(listener_, -1));
  }
  for (Connection* connection : watched_.all()) {
    if (connection->phase == Connection::Phase::kLinger) continue;
    if (connection->phase == Connection::Phase::kIdle) connection->transport.finish_writing();
    close(*connection, "");
  }
}

void Poller::expire() {
  const MonoTime now = core_.clock.mono();
  while (Connection* const due = watched_.first_due(now)) {
    Connection& connection = *due;
    switch (connection.phase) {
      case Connection::Phase::kHandshake:
        close(connection, "tls_handshake");
        break;
      case Connection::Phase::kIdle:
        connection.transport.finish_writing();
        close(connection, "idle_timeout");
        break;
      case Connection::Phase::kLinger:
        close(connection, "");
        break;
      case Connection::Phase::kHead:
        core_.metrics.closed("head_timeout");
        if (connection.buffer.empty()) {
          close(connection, "");  // connected and said nothing, so it asked nothing either
        } else {
          refuse(connection,
                 Error(ErrorCode::kDeadlineExceeded, "the request's head did not come in time")
                     .with_reason(std::string(reason::kRequestTimeout)),
                 reason::kRequestTimeout);
        }
        break;
    }
  }
  if (tls_ != nullptr && now >= next_reload_) {
    next_reload_ = now + kReloadInterval;
    static_cast<void>(reload_certificates());
  }
}

void Poller::end_in(Connection& connection, std::chrono::milliseconds time) {
  watched_.set_deadline(connection, core_.clock.mono() + time);
}

void Poller::close(Connection& connection, std::string_view reason) {
  if (!reason.empty()) core_.metrics.closed(reason);
  forget(watched_.remove(connection));
}

void Poller::forget(std::unique_ptr<Connection> connection) {
  const auto of_address = open_by_address_.find(rate_key_of_ip(connection->peer.ip));
  if (--of_address->second == 0) open_by_address_.erase(of_address);
  connection.reset();
  --open_;
  core_.metrics.connections.add(-1);
}

}  // namespace sluice::http
