#include "connection.h"

#include <algorithm>
#include <format>
#include <utility>

#include <sluice/base/check.h>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <sys/epoll.h>

namespace sluice::redis {
namespace {

using std::chrono::milliseconds;

// Between attempts to connect: quick at first, since a restart takes about a second, then at most
// a second, since commands wait no longer than their deadline anyway.
constexpr Backoff::Policy kReconnect{.base = milliseconds(20), .cap = milliseconds(1000)};

constexpr std::string_view kAsking = "*1\r\n$6\r\nASKING\r\n";
constexpr std::string_view kPing = "*1\r\n$4\r\nPING\r\n";

Reply to_reply(const redisReply& raw) {
  switch (raw.type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      return Reply::of_text({raw.str, raw.len});
    case REDIS_REPLY_ERROR:
      return Reply::of_text({raw.str, raw.len}, Reply::Kind::kError);
    case REDIS_REPLY_INTEGER:
      return Reply::of_integer(raw.integer);
    case REDIS_REPLY_ARRAY: {
      std::vector<Reply> items;
      items.reserve(raw.elements);
      for (std::size_t i = 0; i < raw.elements; ++i) items.push_back(to_reply(*raw.element[i]));
      return Reply::of_array(std::move(items));
    }
    default:
      return Reply::nil();  // RESP2, which we speak, has no further kinds
  }
}

Error outcome_unknown(const Error& why) {
  return Error(why.code(),
               std::format("{}; whether the command was done is unknown", why.message()))
      .with_reason("outcome_unknown");
}

}  // namespace

/// hiredis calls plain functions with a pointer; these hand over to the object.
struct Connection::Hooks {
  static Connection& self(void* data) { return *static_cast<Connection*>(data); }

  static void add_read(void* data) { self(data).set_interest(self(data).interest_ | EPOLLIN); }
  static void remove_read(void* data) {
    self(data).set_interest(self(data).interest_ & ~std::uint32_t{EPOLLIN});
  }
  static void add_write(void* data) { self(data).set_interest(self(data).interest_ | EPOLLOUT); }
  static void remove_write(void* data) {
    self(data).set_interest(self(data).interest_ & ~std::uint32_t{EPOLLOUT});
  }
  static void cleanup(void* data) {
    self(data).set_interest(0);
    self(data).context_ = nullptr;
  }

  static void connected(const redisAsyncContext* context, int status) {
    self(context->data).on_connected(status);
  }
  static void disconnected(const redisAsyncContext* context, int /*status*/) {
    self(context->data)
        .go_down(Error(ErrorCode::kUnavailable,
                       std::format("connection lost: {}",
                                   context->err != 0 ? context->errstr : "closed by the server")));
  }

  static void authenticated(redisAsyncContext* context, void* raw, void* /*data*/) {
    Connection& connection = self(context->data);
    if (raw == nullptr) return;  // the connection went; the disconnect hook tells the rest
    connection.on_authenticated(to_reply(*static_cast<redisReply*>(raw)));
  }
  static void greeted(redisAsyncContext* context, void* raw, void* /*data*/) {
    if (raw == nullptr) return;  // as above
    self(context->data).on_greeted(to_reply(*static_cast<redisReply*>(raw)));
  }
  static void ignored(redisAsyncContext* /*context*/, void* /*raw*/, void* /*data*/) {}
  static void answered(redisAsyncContext* context, void* raw, void* data) {
    Connection& connection = self(context->data);
    SLUICE_CHECK(!connection.in_flight_.empty() && connection.in_flight_.front().get() == data);
    auto pending = std::move(connection.in_flight_.front());
    connection.in_flight_.pop_front();
    if (raw == nullptr) {
      // Set first, so that whatever the owner sends now waits for the next connection.
      if (connection.state_ == State::kReady) {
        connection.state_ = State::kDown;
        connection.down_because_ =
            Error(ErrorCode::kUnavailable,
                  std::format("connection to {} lost: {}", connection.node_.address(),
                              context->err != 0 ? context->errstr : "closed by the server"));
      }
      connection.owner_.on_answer(connection, std::move(pending),
                                  fail(outcome_unknown(connection.down_because_)));
      return;
    }
    connection.owner_.on_answer(connection, std::move(pending),
                                to_reply(*static_cast<redisReply*>(raw)));
  }
};

Connection::Connection(Node node, Options options, Owner& owner)
    : node_(std::move(node)),
      options_(options),
      owner_(owner),
      backoff_(kReconnect, options.random) {}

Connection::~Connection() {
  if (context_ != nullptr) redisAsyncFree(context_);
}

void Connection::send(std::unique_ptr<Pending> pending) {
  if (state_ == State::kReady) {
    write(std::move(pending));
  } else {
    waiting_.push_back(std::move(pending));
    connect_if_due(options_.clock.mono());
  }
}

std::deque<std::unique_ptr<Pending>> Connection::take_waiting() {
  return std::exchange(waiting_, {});
}

void Connection::leave(Error why) {
  if (state_ != State::kReady) return;
  state_ = State::kDown;
  down_because_ = std::move(why);
  was_left_ = true;
  redisAsyncDisconnect(context_);
}

void Connection::on_epoll(std::uint32_t events) {
  if (context_ != nullptr && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    heard_at_ = options_.clock.mono();
    redisAsyncHandleRead(context_);
  }
  if (context_ != nullptr && (events & EPOLLOUT) != 0) redisAsyncHandleWrite(context_);
}

void Connection::tick(MonoTime now) {
  expire_waiting(now);
  const bool is_silent = !in_flight_.empty() && heard_at_ + options_.config.command_timeout <= now;
  const bool is_unborn = (state_ == State::kConnecting || state_ == State::kAuthenticating) &&
                         connect_deadline_ <= now;
  if (is_silent || is_unborn) {
    // A peer that is frozen or cut off answers nothing for ever: only a new connection helps. One
    // that is only slow keeps its connection: a new one would lose what is in flight and be as
    // slow.
    down_because_ = Error(ErrorCode::kDeadlineExceeded,
                          std::format("{} did not answer within {} ms", node_.address(),
                                      options_.config.command_timeout.count()));
    state_ = State::kDown;
    if (context_ != nullptr) redisAsyncFree(context_);
    go_down(down_because_);
  } else {
    expire_in_flight(now);
  }
  if (!waiting_.empty()) connect_if_due(now);
}

void Connection::connect_if_due(MonoTime now) {
  if (state_ == State::kDown && context_ == nullptr && retry_at_ <= now) connect();
}

void Connection::connect() {
  SLUICE_CHECK(context_ == nullptr);
  state_ = State::kConnecting;
  is_down_reported_ = false;
  connect_deadline_ = options_.clock.mono() + options_.config.command_timeout;
  // Resolves names on this thread: Redis is expected under a name that answers from a local cache.
  context_ = redisAsyncConnect(node_.host.c_str(), node_.port);
  SLUICE_CHECK(context_ != nullptr);
  if (context_->err != 0) {
    Error why(ErrorCode::kUnavailable,
              std::format("connect to {}: {}", node_.address(), context_->errstr));
    redisAsyncFree(std::exchange(context_, nullptr));
    go_down(std::move(why));
    return;
  }
  context_->data = this;
  context_->ev.data = this;
  context_->ev.addRead = &Hooks::add_read;
  context_->ev.delRead = &Hooks::remove_read;
  context_->ev.addWrite = &Hooks::add_write;
  context_->ev.delWrite = &Hooks::remove_write;
  context_->ev.cleanup = &Hooks::cleanup;
  redisAsyncSetDisconnectCallback(context_, &Hooks::disconnected);
  redisAsyncSetConnectCallback(context_, &Hooks::connected);
}

void Connection::on_connected(int status) {
  if (status != REDIS_OK) {
    go_down(Error(ErrorCode::kUnavailable,
                  std::format("connect to {}: {}", node_.address(), context_->errstr)));
    return;
  }
  if (options_.tls != nullptr) {
    const auto started = options_.tls->start(context_->c, node_.host);
    if (!started) {
      refuse(Error(ErrorCode::kUnavailable,
                   std::format("TLS to {}: {}", node_.address(), started.error().message())));
      return;
    }
  }
  greet();
}

/// A connection counts as made when Redis itself has answered on it. Before that a handshake may
/// fail, a proxy may have accepted for a server that is not there, or the server may still be
/// loading its data; commands sent then would be lost, or refused while later ones are done.
void Connection::greet() {
  state_ = State::kAuthenticating;
  const std::string& password = options_.config.password.reveal();
  if (!password.empty()) {
    const Command auth = options_.user.empty()
                             ? Command::anywhere({"AUTH", password})
                             : Command::anywhere({"AUTH", options_.user, password});
    redisAsyncFormattedCommand(context_, &Hooks::authenticated, nullptr, auth.wire().data(),
                               auth.wire().size());
  }
  redisAsyncFormattedCommand(context_, &Hooks::greeted, nullptr, kPing.data(), kPing.size());
}

void Connection::on_authenticated(const Reply& answer) {
  if (answer.kind() != Reply::Kind::kError) return;
  refuse(Error(ErrorCode::kUnauthenticated,
               std::format("{} refused to authenticate: {}", node_.address(), answer.text())));
}

void Connection::on_greeted(const Reply& answer) {
  if (state_ != State::kAuthenticating) return;  // refused to authenticate
  // A user who may not PING, or must give a password, is told so by the answers to the commands.
  const bool is_served = answer.kind() != Reply::Kind::kError ||
                         answer.text().starts_with("NOPERM") || answer.text().starts_with("NOAUTH");
  if (is_served) {
    become_ready();
  } else {
    refuse(Error(ErrorCode::kUnavailable,
                 std::format("{} does not serve yet: {}", node_.address(), answer.text())));
  }
}

/// Gives up a connection that has just been made.
void Connection::refuse(Error why) {
  go_down(std::move(why));
  redisAsyncFree(context_);
}

void Connection::become_ready() {
  state_ = State::kReady;
  // The next one may be as useless, which only commands show.
  if (!std::exchange(was_left_, false)) backoff_.reset();
  for (auto& pending : take_waiting()) send(std::move(pending));
}

void Connection::write(std::unique_ptr<Pending> pending) {
  if (pending->is_asking) {
    pending->is_asking = false;
    redisAsyncFormattedCommand(context_, &Hooks::ignored, nullptr, kAsking.data(), kAsking.size());
  }
  if (in_flight_.empty()) heard_at_ = options_.clock.mono();
  in_flight_expiry_ =
      in_flight_.empty() ? pending->deadline : std::min(in_flight_expiry_, pending->deadline);
  const std::string& wire = pending->command.wire();
  in_flight_.push_back(std::move(pending));
  if (redisAsyncFormattedCommand(context_, &Hooks::answered, in_flight_.back().get(), wire.data(),
                                 wire.size()) != REDIS_OK) {
    // hiredis is closing the connection and did not take it.
    waiting_.push_back(std::move(in_flight_.back()));
    in_flight_.pop_back();
  }
}

void Connection::go_down(Error why) {
  const bool was_up = state_ != State::kDown;
  state_ = State::kDown;
  if (is_down_reported_) return;
  is_down_reported_ = true;
  if (was_up) down_because_ = std::move(why);
  retry_at_ = options_.clock.mono() + backoff_.next();
  owner_.on_down(*this, down_because_);
}

void Connection::set_interest(std::uint32_t interest) {
  if (interest == interest_ || context_ == nullptr) return;
  const int operation = interest_ == 0  ? EPOLL_CTL_ADD
                        : interest == 0 ? EPOLL_CTL_DEL
                                        : EPOLL_CTL_MOD;
  interest_ = interest;
  epoll_event event{};
  event.events = interest;
  event.data.ptr = this;
  epoll_ctl(options_.epoll_fd, operation, context_->c.fd, &event);
}

void Connection::expire_waiting(MonoTime now) {
  const auto is_expired = [&](const auto& pending) { return pending->deadline <= now; };
  if (std::ranges::none_of(waiting_, is_expired)) return;
  std::deque<std::unique_ptr<Pending>> kept;
  std::deque<std::unique_ptr<Pending>> expired;
  for (auto& pending : take_waiting()) {
    (is_expired(pending) ? expired : kept).push_back(std::move(pending));
  }
  waiting_ = std::move(kept);
  for (auto& pending : expired) {
    owner_.on_answer(*this, std::move(pending),
                     fail(Error(down_because_).context("no connection before the deadline")));
  }
}

void Connection::expire_in_flight(MonoTime now) {
  if (in_flight_.empty() || in_flight_expiry_ > now) return;
  const Error why =
      outcome_unknown(Error(ErrorCode::kDeadlineExceeded,
                            std::format("{} did not answer before the deadline", node_.address())));
  in_flight_expiry_ = MonoTime::max();
  for (auto& pending : in_flight_) {
    if (!pending->done) continue;  // told already
    if (pending->deadline <= now) {
      owner_.on_late(*pending, why);
    } else {
      in_flight_expiry_ = std::min(in_flight_expiry_, pending->deadline);
    }
  }
}

}  // namespace sluice::redis
