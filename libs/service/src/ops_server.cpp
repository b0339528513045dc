#include "ops_server.h"

#include "ops_routes.h"
#include "socket.h"

#include <algorithm>
#include <cerrno>
#include <list>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/socket.h>

namespace sluice::service {
namespace {

using std::chrono::milliseconds;

/// How long a peer may take to close after its answer. Closing first, while it still sends, would
/// have the kernel throw the answer away.
constexpr milliseconds kLinger{1'000};
/// When no descriptor is left for a new connection, the next look comes after this.
constexpr milliseconds kAcceptPause{100};

struct Connection {
  enum class State { kReading, kWriting, kLingering };

  Descriptor socket;
  bool peer_is_loopback = false;
  State state = State::kReading;
  MonoTime deadline{};
  std::string buffer{};     // the head so far, then the answer
  std::size_t written = 0;  // of the answer
};

}  // namespace

class OpsServer::Impl {
 public:
  Impl(Options options, const Clock& clock, Registry& registry, Handler handler,
       Descriptor listener, Descriptor wake)
      : options_(std::move(options)),
        clock_(clock),
        registry_(registry),
        handler_(std::move(handler)),
        listener_(std::move(listener)),
        wake_(std::move(wake)),
        address_(bound_address(listener_)),
        dropped_full_(dropped("full")),
        dropped_timeout_(dropped("timeout")),
        thread_([this](const std::stop_token& stop) { run(stop); }) {}

  ~Impl() {
    thread_.request_stop();
    raise_event(wake_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const std::string& address() const { return address_; }

 private:
  using Connections = std::list<Connection>;  // oldest first

  Counter dropped(std::string_view reason) {
    return registry_.counter("sluice_ops_connections_dropped_total",
                             "Connections of the ops port closed before their answer.",
                             {{"reason", std::string(reason)}});
  }

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::vector<pollfd> polled = {{.fd = wake_.get(), .events = POLLIN, .revents = 0},
                                    {.fd = listener_.get(), .events = POLLIN, .revents = 0}};
      const MonoTime now = clock_.mono();
      if (accepts_again_at_ > now) polled[1].fd = -1;
      for (const Connection& connection : connections_) {
        const bool writes = connection.state == Connection::State::kWriting;
        polled.push_back({.fd = connection.socket.get(),
                          .events = static_cast<short>(writes ? POLLOUT : POLLIN),
                          .revents = 0});
      }
      poll(polled.data(), polled.size(), timeout_from(now));

      auto it = connections_.begin();
      for (std::size_t i = 2; i < polled.size(); ++i) {
        const auto current = it++;
        const bool is_open = polled[i].revents == 0 || advance(*current);
        if (!is_open) connections_.erase(current);
      }
      close_expired();
      if (polled[1].revents != 0) accept_all();
    }
    connections_.clear();
  }

  int timeout_from(MonoTime now) const {
    MonoTime first = MonoTime::max();
    for (const Connection& connection : connections_) first = std::min(first, connection.deadline);
    if (accepts_again_at_ > now) first = std::min(first, accepts_again_at_);
    if (first == MonoTime::max()) return -1;
    const auto wait = std::chrono::ceil<milliseconds>(first - now);
    return static_cast<int>(std::max(wait, milliseconds(0)).count());
  }

  void close_expired() {
    const MonoTime now = clock_.mono();
    std::erase_if(connections_, [&](const Connection& connection) {
      const bool is_expired = connection.deadline <= now;
      if (is_expired && connection.state != Connection::State::kLingering) dropped_timeout_.add();
      return is_expired;
    });
  }

  void accept_all() {
    // One round per look, so that a flood of connections cannot keep the others from being served.
    for (std::size_t i = 0; i < options_.max_connections; ++i) {
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      Descriptor socket(accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &size,
                                SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!socket) {
        const bool is_exhausted =
            errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        if (is_exhausted) accepts_again_at_ = clock_.mono() + kAcceptPause;
        return;
      }
      if (connections_.size() == options_.max_connections) {
        if (connections_.front().state != Connection::State::kLingering) dropped_full_.add();
        connections_.pop_front();
      }
      connections_.push_back({.socket = std::move(socket),
                              .peer_is_loopback = is_loopback(peer),
                              .deadline = clock_.mono() + options_.deadline});
    }
  }

  /// Goes on with what the socket is ready for; false when the connection is at its end.
  bool advance(Connection& connection) {
    switch (connection.state) {
      case Connection::State::kReading:
        return read_head(connection);
      case Connection::State::kWriting:
        return write_answer(connection);
      case Connection::State::kLingering:
        return discard(connection);
    }
    return false;
  }

  bool read_head(Connection& connection) {
    char piece[kMaxHeadSize];
    const ssize_t size = recv(connection.socket.get(), piece, sizeof piece, 0);
    if (size == 0) return false;
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    connection.buffer.append(piece, static_cast<std::size_t>(size));
    const std::size_t end = connection.buffer.find("\r\n\r\n");
    if (end == std::string::npos && connection.buffer.size() <= kMaxHeadSize) return true;

    if (end > kMaxHeadSize) {  // npos included
      begin_answer(connection, plain(431, "the request is too large"), "other", false);
    } else if (auto request = parse_head(std::string_view(connection.buffer).substr(0, end))) {
      request->peer_is_loopback = connection.peer_is_loopback;
      const OpsResponse response = handler_(*request);
      begin_answer(connection, response, path_label(*request, response), request->method == "HEAD");
    } else {
      begin_answer(connection, plain(request.error(), "this is no request"), "other", false);
    }
    return write_answer(connection);
  }

  void begin_answer(Connection& connection, const OpsResponse& response, std::string_view path,
                    bool is_head) {
    registry_
        .counter("sluice_ops_requests_total", "Requests the ops port answered.",
                 {{"path", std::string(path)}, {"status", std::to_string(response.status)}})
        .add();
    connection.buffer = serialise(response, is_head);
    connection.state = Connection::State::kWriting;
    connection.deadline = clock_.mono() + options_.deadline;
  }

  bool write_answer(Connection& connection) {
    while (connection.written < connection.buffer.size()) {
      const ssize_t size =
          send(connection.socket.get(), connection.buffer.data() + connection.written,
               connection.buffer.size() - connection.written, MSG_NOSIGNAL);
      if (size < 0) return errno == EAGAIN || errno == EINTR;
      connection.written += static_cast<std::size_t>(size);
    }
    shutdown(connection.socket.get(), SHUT_WR);
    connection.state = Connection::State::kLingering;
    connection.deadline = clock_.mono() + kLinger;
    connection.buffer = {};
    return true;
  }

  /// What still comes, such as a body, is of no interest; its end is.
  static bool discard(const Connection& connection) {
    char piece[kMaxHeadSize];
    const ssize_t size = recv(connection.socket.get(), piece, sizeof piece, 0);
    return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
  }

  const Options options_;
  const Clock& clock_;
  Registry& registry_;
  const Handler handler_;
  const Descriptor listener_;
  const Descriptor wake_;
  const std::string address_;
  Counter dropped_full_;
  Counter dropped_timeout_;
  Connections connections_;  // of the thread, as what follows
  MonoTime accepts_again_at_{};
  std::jthread thread_;  // last: ends before what it uses
};

Result<std::unique_ptr<OpsServer>> OpsServer::start(Options options, const Clock& clock,
                                                    Registry& registry, Handler handler) {
  SLUICE_TRY_ASSIGN(Descriptor listener, listen_at(options.listen));
  SLUICE_TRY_ASSIGN(Descriptor wake, make_event());
  return std::unique_ptr<OpsServer>(
      new OpsServer(std::make_unique<Impl>(std::move(options), clock, registry, std::move(handler),
                                           std::move(listener), std::move(wake))));
}

OpsServer::OpsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OpsServer::~OpsServer() = default;
const std::string& OpsServer::address() const { return impl_->address(); }

}  // namespace sluice::service
