#include "proxy_loop.h"

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>

namespace sluice::testing {
namespace {

// Read at once: as much as a TLS record, so that delays fall on pieces of natural size.
constexpr std::size_t kPieceSize = 16 * 1024;

struct Connection {
  Fd client;
  Fd server;
  bool is_connected = false;  // to the server
  bool is_broken = false;
  bool has_asked = false;  // the client, and has heard nothing since
  Link up;
  Link down;

  Fd& source(Direction direction) { return direction == Direction::kUp ? client : server; }
  Fd& receiver(Direction direction) { return direction == Direction::kUp ? server : client; }
  Link& link(Direction direction) { return direction == Direction::kUp ? up : down; }
};

class TcpLoop final : public ProxyLoop {
 public:
  using ProxyLoop::ProxyLoop;

  void reset_all() override {
    for (Connection& connection : connections_) reset(connection);
    connections_.clear();
  }

  void half_close_all(Direction direction) override {
    for (Connection& connection : connections_) {
      Link& link = connection.link(direction);
      if (link.discards || link.source_has_ended) continue;  // its end has come already
      link.discards = true;
      link.add_in_order("", link.last_due);
    }
  }

 private:
  static constexpr std::array kDirections = {Direction::kUp, Direction::kDown};

  std::size_t open_connections() const override { return connections_.size(); }

  void pass_on(MonoTime now) override {
    for (Connection& connection : connections_) {
      for (const Direction direction : kDirections) send(connection, direction, now);
      const bool has_ended = connection.up.end_was_sent && connection.down.end_was_sent;
      if (has_ended) connection.is_broken = true;
    }
    std::erase_if(connections_, [](const Connection& connection) { return connection.is_broken; });
  }

  void add_waits(MonoTime now) override {
    wait_for(listener_.get(), POLLIN);
    for (Connection& connection : connections_) {
      // An entry with nothing to wait for is left out (-1): broken sockets would wake it without
      // end.
      const short client = events_of(connection, Direction::kUp);
      const short server =
          connection.is_connected ? events_of(connection, Direction::kDown) : short{POLLOUT};
      wait_for(client != 0 ? connection.client.get() : -1, client);
      wait_for(server != 0 ? connection.server.get() : -1, server);
      for (const Direction direction : kDirections) {
        if (connection.is_connected) wake_for(connection.link(direction), state(direction), now);
      }
    }
  }

  /// What to wait for on the socket that is this direction's source and the other's receiver.
  short events_of(Connection& connection, Direction direction) {
    const Direction other = direction == Direction::kUp ? Direction::kDown : Direction::kUp;
    const Link& from = connection.link(direction);
    const Link& to = connection.link(other);
    int events = 0;
    if (!from.source_has_ended && !state(direction).faults.frozen &&
        from.size < options_.buffer_bytes) {
      events |= POLLIN;
    }
    if (to.is_blocked && !state(other).faults.frozen) events |= POLLOUT;
    return static_cast<short>(events);
  }

  void take(MonoTime now) override {
    auto wait = std::next(waits_.begin());  // after the listener's
    for (Connection& connection : connections_) {
      const short client = (wait++)->revents;
      const short server = (wait++)->revents;
      if (!connection.is_connected && server != 0) finish_connecting(connection);
      if (connection.is_broken) continue;
      if (client != 0) on_ready(connection, Direction::kUp, client, now);
      if (server != 0 && !connection.is_broken) on_ready(connection, Direction::kDown, server, now);
    }
    std::erase_if(connections_, [](const Connection& connection) { return connection.is_broken; });
    // Last, since the loop above goes by the order of what was waited for.
    if (waits_.front().revents != 0) accept_all();
  }

  void on_ready(Connection& connection, Direction direction, short events, MonoTime now) {
    const Direction other = direction == Direction::kUp ? Direction::kDown : Direction::kUp;
    if ((events & (POLLOUT | POLLERR | POLLHUP)) != 0) connection.link(other).is_blocked = false;
    if ((events & (POLLIN | POLLERR | POLLHUP)) != 0) receive(connection, direction, now);
  }

  void receive(Connection& connection, Direction direction, MonoTime now) {
    Link& link = connection.link(direction);
    FaultState& faults = state(direction);
    if (link.source_has_ended || faults.faults.frozen || link.size >= options_.buffer_bytes) return;
    std::string piece(std::min(kPieceSize, options_.buffer_bytes - link.size), '\0');
    const ssize_t size = ::recv(connection.source(direction).get(), piece.data(), piece.size(), 0);
    if (size < 0) {
      if (errno != EAGAIN && errno != EINTR) reset(connection);
      return;
    }
    link.source_has_ended = size == 0;
    if (size > 0 && std::exchange(connection.has_asked, direction == Direction::kUp) &&
        direction == Direction::kDown) {
      ++stats_.round_trips;
    }
    if (link.discards) return;
    if (faults.faults.dropped) {
      stats_.dropped_bytes += static_cast<std::uint64_t>(size);
      return;
    }
    piece.resize(static_cast<std::size_t>(size));
    link.add_in_order(std::move(piece), now + faults.draw_delay());
  }

  void send(Connection& connection, Direction direction, MonoTime now) {
    Link& link = connection.link(direction);
    FaultState& faults = state(direction);
    const int to = connection.receiver(direction).get();
    const bool can_send = connection.is_connected && !connection.is_broken && !faults.faults.frozen;
    while (can_send && !link.is_blocked && !link.pieces.empty() &&
           link.pieces.begin()->first <= now) {
      std::string& piece = link.pieces.begin()->second;
      if (piece.empty()) {
        ::shutdown(to, SHUT_WR);
        link.end_was_sent = true;
        link.pieces.erase(link.pieces.begin());
        continue;
      }
      const std::size_t budget = faults.budget(now);
      if (budget == 0) return;
      const ssize_t sent = ::send(to, piece.data(), std::min(budget, piece.size()), MSG_NOSIGNAL);
      if (sent < 0) {
        if (errno == EAGAIN || errno == EINTR) {
          link.is_blocked = true;
        } else {
          reset(connection);
        }
        return;
      }
      const auto count = static_cast<std::size_t>(sent);
      if (budget != FaultState::kUnlimited) faults.spend(count);
      link.size -= count;
      (direction == Direction::kUp ? stats_.bytes_up : stats_.bytes_down) += count;
      piece.erase(0, count);
      if (piece.empty()) link.pieces.erase(link.pieces.begin());
    }
  }

  void accept_all() {
    for (;;) {
      Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (client.get() < 0) return;
      if (is_refusing_ || connections_.size() >= options_.max_connections) {
        ++stats_.refused;
        close_with_reset(client);
        continue;
      }
      ++stats_.connections;
      connect_for(std::move(client));
    }
  }

  void connect_for(Fd client) {
    Connection connection;
    connection.client = std::move(client);
    connection.server =
        Fd(::socket(target_.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    // Our own delays are the only ones wanted.
    const int yes = 1;
    for (const Fd* fd : {&connection.client, &connection.server}) {
      ::setsockopt(fd->get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    }
    const int result = ::connect(connection.server.get(), target_.get(), target_.size);
    if (result != 0 && errno != EINPROGRESS) {
      ++stats_.refused;
      reset(connection);
      return;
    }
    connection.is_connected = result == 0;
    connections_.push_back(std::move(connection));
  }

  void finish_connecting(Connection& connection) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(connection.server.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0) {
      connection.is_connected = true;
      return;
    }
    ++stats_.refused;
    reset(connection);
  }

  static void reset(Connection& connection) {
    close_with_reset(connection.client);
    close_with_reset(connection.server);
    connection.is_broken = true;
  }

  std::list<Connection> connections_;
};

}  // namespace

std::unique_ptr<ProxyLoop> make_tcp_loop(const FaultProxy::Options& options, SocketAddress target,
                                         Fd listener, Fd wake) {
  return std::make_unique<TcpLoop>(options, target, std::move(listener), std::move(wake));
}

}  // namespace sluice::testing
