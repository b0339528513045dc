#pragma once

#include "slot_map.h"
#include "tls.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>

#include <sluice/base/backoff.h>
#include <sluice/base/clock.h>
#include <sluice/redis/client.h>

struct redisAsyncContext;

namespace sluice::redis {

/// A command on its way, with everything needed to send it again elsewhere.
struct Pending {
  Command command;
  Client::Callback done;
  MonoTime started;
  MonoTime deadline;
  std::uint64_t sequence = 0;  // order of handing in; 0: the client's own question for the slots
  int redirects = 0;
  bool is_asking = false;  // to be preceded by ASKING, once
};

/// One pipelined connection to one node, over hiredis' asynchronous context. Lives on the I/O
/// thread alone. Reconnects by itself with full jitter as long as something waits to be sent, and
/// sends nothing before Redis has answered a PING on the new connection.
class Connection {
 public:
  /// What the connection tells its client.
  class Owner {
   public:
    virtual ~Owner() = default;
    /// The answer to a sent command; an error where the connection went before the answer came.
    virtual void on_answer(Connection& from, std::unique_ptr<Pending> pending,
                           Result<Reply> answer) = 0;
    /// The deadline of a sent command passed: the caller is to be told, and the callback is then
    /// empty. The command itself comes to on_answer() with its answer, or with the end of the
    /// connection.
    virtual void on_late(Pending& pending, const Error& why) = 0;
    /// The connection is down; commands not yet sent wait in it (see take_waiting).
    virtual void on_down(Connection& connection, const Error& why) = 0;
  };

  struct Options {
    const Config& config;
    const std::string& user;  // empty: the default user
    TlsSessions* tls;         // null: plain TCP
    const Clock& clock;
    Random& random;
    int epoll_fd;
  };

  Connection(Node node, Options options, Owner& owner);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void send(std::unique_ptr<Pending> pending);
  /// Commands that were never sent, for sending elsewhere.
  std::deque<std::unique_ptr<Pending>> take_waiting();

  /// Ends the connection once what is in flight has been answered, and makes another; what is sent
  /// meanwhile waits for that.
  void leave(Error why);

  void on_epoll(std::uint32_t events);
  /// Starts connecting when it is time to, and gives up on what took too long.
  void tick(MonoTime now);
  bool is_idle() const { return waiting_.empty() && in_flight_.empty(); }
  const Node& node() const { return node_; }

 private:
  enum class State : std::uint8_t { kDown, kConnecting, kAuthenticating, kReady };
  struct Hooks;

  void connect();
  void on_connected(int status);
  void greet();
  void on_authenticated(const Reply& answer);
  void on_greeted(const Reply& answer);
  void become_ready();
  void refuse(Error why);
  void connect_if_due(MonoTime now);
  void write(std::unique_ptr<Pending> pending);
  void go_down(Error why);
  void set_interest(std::uint32_t interest);
  void expire_waiting(MonoTime now);
  void expire_in_flight(MonoTime now);

  const Node node_;
  const Options options_;
  Owner& owner_;
  Backoff backoff_;
  State state_ = State::kDown;
  redisAsyncContext* context_ = nullptr;  // hiredis frees it; cleanup hook clears this
  std::uint32_t interest_ = 0;
  bool was_left_ = false;          // the last connection, by leave()
  bool is_down_reported_ = false;  // the owner knows of the last loss already
  MonoTime retry_at_{};
  MonoTime connect_deadline_{};
  Error down_because_{ErrorCode::kUnavailable, "not connected yet"};
  std::deque<std::unique_ptr<Pending>> waiting_;
  std::deque<std::unique_ptr<Pending>>
      in_flight_;                // as hiredis' callbacks, which run for every one
  MonoTime heard_at_{};          // the last bytes, or the first command after a pause
  MonoTime in_flight_expiry_{};  // no deadline in in_flight_ is earlier
};

}  // namespace sluice::redis
