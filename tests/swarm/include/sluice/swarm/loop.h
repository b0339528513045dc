#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/mqtt/decoder.h>
#include <sluice/mqtt/encoder.h>
#include <sluice/swarm/dialer.h>
#include <sluice/swarm/tls.h>

namespace sluice::swarm {

class Connection;

/// As whom a client connects.
struct Identity {
  std::string client_id;
  std::optional<std::string> user{};
  std::optional<std::string> password{};

  bool operator==(const Identity&) const = default;
};

/// Who the clients are, asked at each connect so that nothing of it is kept per connection.
class Identities {
 public:
  virtual ~Identities() = default;
  virtual Identity identity(std::uint32_t index) const = 0;
};

/// Whom a connection reports to. Calls come from within Loop::poll(), except that what is sent may
/// find the connection broken and call on_end() at once.
class Handler {
 public:
  virtual ~Handler() = default;
  /// The server accepted the client.
  virtual void on_open(Connection& connection) = 0;
  /// A packet other than CONNACK and DISCONNECT.
  virtual void on_frame(Connection& connection, const mqtt::Frame& frame) = 0;
  /// All packets of one read were given: the moment to answer them in one write.
  virtual void on_read_done(Connection& connection) { static_cast<void>(connection); }
  /// What the socket had not taken is gone.
  virtual void on_writable(Connection& connection) { static_cast<void>(connection); }
  /// Refused, broken or closed by the server; never after drop() or disconnect(). The connection
  /// may be opened again at once.
  virtual void on_end(Connection& connection, std::string_view reason) = 0;
};

/// Where and how clients connect.
struct Target {
  std::string host = "127.0.0.1";
  std::uint16_t port = 1883;
  mqtt::Version version = mqtt::Version::kV311;
  std::uint16_t keep_alive_seconds = 0;
  bool clean_start = true;
  std::uint32_t session_expiry_seconds = 0;  // MQTT 5
  std::uint32_t sources = 0;                 // see Dialer
  TlsContext* tls = nullptr;                 // nullptr: plain
  bool resumes = false;                      // offers the TLS ticket of the place's last connection
};

/// A target whose address is known. Must outlive the connections that were opened to it.
class Route {
 public:
  static Result<Route> make(const Target& target);

  const Target& target() const { return target_; }
  const Dialer& dialer() const { return dialer_; }

 private:
  Route(const Target& target, const Dialer& dialer) : target_(target), dialer_(dialer) {}
  Target target_;
  Dialer dialer_;
};

/// One client's place: connected or not, again and again. Stays where it is in memory.
class Connection {
 public:
  enum class State : std::uint8_t { kClosed, kTcp, kTls, kConnecting, kOpen };

  State state() const { return state_; }
  /// Of the client that uses the place, set by open().
  std::uint32_t index() const { return index_; }
  /// Its place in its group.
  std::uint32_t slot = 0;
  /// When open() was called.
  MonoTime began() const { return began_; }
  /// Bytes wait for the socket; what is sent now queues behind them.
  bool is_blocked() const { return !output_.empty(); }
  /// The server had kept the client's session.
  bool had_session() const { return had_session_; }
  mqtt::Version version() const { return route_->target().version; }
  bool was_resumed() const { return tls_ && tls_->was_resumed(); }

 private:
  friend class Loop;
  Handler* handler_ = nullptr;
  const Route* route_ = nullptr;
  std::unique_ptr<TlsStream> tls_;
  TlsSession session_;
  std::vector<std::byte> input_;   // the beginning of a packet
  std::vector<std::byte> output_;  // what the socket did not take
  MonoTime began_{};
  std::uint32_t index_ = 0;
  int fd_ = -1;
  State state_ = State::kClosed;
  bool awaits_room_ = false;  // EPOLLOUT is asked for
  bool had_session_ = false;
};

/// One epoll loop with the client side of MQTT connections on it. Belongs to one thread.
class Loop {
 public:
  /// `route` is where connections go that are opened without another one.
  Loop(const Route& route, const Identities& identities, const Clock& clock);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Begins to connect. The handler must outlive the connection's life on the loop.
  void open(Connection& connection, Handler& handler, std::uint32_t index) {
    open(connection, handler, index, route_);
  }
  void open(Connection& connection, Handler& handler, std::uint32_t index, const Route& route);
  /// Writes at once what the socket takes, keeps the rest. Nothing when it is closed.
  void send(Connection& connection, std::span<const std::byte> bytes);
  /// Sends DISCONNECT and closes.
  void disconnect(Connection& connection);
  /// Closes without a word, as a device does whose network is gone.
  void drop(Connection& connection);

  /// Handles what has happened, waiting for it up to `timeout`.
  void poll(std::chrono::nanoseconds timeout);

  /// The clock, which everything here is measured with.
  MonoTime now() const { return clock_->mono(); }
  /// Of connections that are opened without a route of their own.
  mqtt::Version version() const { return route_.target().version; }
  /// Memory for what is to be sent next; whoever uses it clears it first.
  mqtt::Output& scratch() { return scratch_; }

 private:
  void handle(Connection& connection, std::uint32_t events);
  void advance_tls(Connection& connection);
  void send_connect(Connection& connection);
  void read(Connection& connection);
  void deliver(Connection& connection, std::span<const std::byte> bytes);
  void on_connack(Connection& connection, const mqtt::Frame& frame);
  void flush(Connection& connection);
  std::size_t write_some(Connection& connection, std::span<const std::byte> bytes);
  void await_room(Connection& connection, bool awaits);
  void close(Connection& connection);
  void end(Connection& connection, std::string_view reason);

  static constexpr std::size_t kEvents = 512;
  static constexpr std::size_t kReadSize = 256 * 1024;
  static constexpr std::uint32_t kMaxPacketSize = 16 * 1024 * 1024;

  Route route_;
  const Identities* identities_;
  const Clock* clock_;
  int epoll_fd_;
  mqtt::Output scratch_;
  std::vector<std::byte> read_buffer_;
};

}  // namespace sluice::swarm
