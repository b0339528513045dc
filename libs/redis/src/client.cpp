#include <sluice/redis/client.h>

#include "connection.h"
#include "slot_map.h"
#include "target.h"
#include "tls.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <format>
#include <future>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include <sluice/base/bounded_queue.h>
#include <sluice/base/check.h>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace sluice::redis {
namespace {

using std::chrono::milliseconds;

// How often deadlines, reconnections and held commands are looked at while anything is under way.
// The only cost is a wake-up; commands themselves never wait for it.
constexpr milliseconds kTick{10};
// A slot that moves takes two redirections (ASK, then MOVED); more mean that the nodes disagree.
constexpr int kMaxRedirects = 8;

struct Metrics {
  explicit Metrics(Registry& registry)
      : done(registry.counter("sluice_redis_commands_total", "Commands by outcome.",
                              {{"outcome", "done"}})),
        refused(registry.counter("sluice_redis_commands_total", "Commands by outcome.",
                                 {{"outcome", "refused"}})),
        unknown(registry.counter("sluice_redis_commands_total", "Commands by outcome.",
                                 {{"outcome", "outcome_unknown"}})),
        unsent(registry.counter("sluice_redis_commands_total", "Commands by outcome.",
                                {{"outcome", "unsent"}})),
        over_limit(registry.counter("sluice_redis_commands_total", "Commands by outcome.",
                                    {{"outcome", "over_limit"}})),
        redirects(registry.counter("sluice_redis_redirects_total",
                                   "Commands a Cluster node sent elsewhere.")),
        connections_lost(registry.counter("sluice_redis_connections_lost_total",
                                          "Connections that failed or could not be made.")),
        pending(registry.gauge("sluice_redis_pending", "Commands waiting for an answer.")),
        seconds(registry.histogram("sluice_redis_command_seconds",
                                   "From handing a command in to its answer.",
                                   latency_buckets_seconds())) {}

  Counter done, refused, unknown, unsent, over_limit, redirects, connections_lost;
  Gauge pending;
  Histogram seconds;
};

/// Error texts that mean "not now" rather than "no": the command was not done.
bool is_passing(std::string_view text) {
  return text.starts_with("TRYAGAIN") || text.starts_with("CLUSTERDOWN") ||
         text.starts_with("LOADING") || text.starts_with("MASTERDOWN");
}

/// Only a primary serves us: what is under its name has become a replica.
bool is_of_a_replica(std::string_view text) {
  return text.starts_with("READONLY") || text.starts_with("MASTERDOWN");
}

Error refusal(const std::string& text) {
  const std::string reason = text.substr(0, text.find(' '));
  ErrorCode code = ErrorCode::kFailedPrecondition;
  if (reason == "NOAUTH" || reason == "WRONGPASS" || reason == "NOPERM") {
    code = ErrorCode::kPermissionDenied;
  } else if (reason == "OOM") {
    code = ErrorCode::kResourceExhausted;
  } else if (reason == "READONLY" || is_passing(text)) {
    code = ErrorCode::kUnavailable;
  }
  return Error(code, "redis: " + text).with_reason(reason);
}

}  // namespace

/// Everything below `incoming_` belongs to the I/O thread.
class Client::Impl final : public Connection::Owner {
 public:
  Impl(Config config, Target target, std::optional<TlsSessions> tls, const Clock& clock,
       Random& random, Registry& registry, Logger log)
      : config_(std::move(config)),
        target_(std::move(target)),
        tls_(std::move(tls)),
        clock_(clock),
        random_(random),
        log_(std::move(log)),
        metrics_(registry),
        incoming_(static_cast<std::size_t>(config_.max_pending)),
        epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
        wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    SLUICE_CHECK(epoll_fd_ >= 0 && wake_fd_ >= 0);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;  // null: the eventfd; else a Connection
    epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event);
    thread_ = std::thread([this] { run(); });
  }

  ~Impl() override {
    stopping_.store(true);
    incoming_.close();
    wake();
    thread_.join();
    close(epoll_fd_);
    close(wake_fd_);
  }

  void send(Command command, Callback done) {
    const MonoTime now = clock_.mono();
    auto pending = std::make_unique<Pending>(
        Pending{std::move(command), std::move(done), now, now + config_.command_timeout});
    if (pending_count_.fetch_add(1) >= config_.max_pending ||
        !incoming_.try_push(std::move(pending))) {
      pending_count_.fetch_sub(1);
      metrics_.over_limit.add();
      pending->done(
          fail(Error(ErrorCode::kResourceExhausted,
                     std::format("{} commands are pending, the limit of redis_max_pending",
                                 config_.max_pending))
                   .with_reason("redis_max_pending")));
      return;
    }
    if (!is_woken_.exchange(true)) wake();
  }

  void on_answer(Connection& from, std::unique_ptr<Pending> pending,
                 Result<Reply> answer) override {
    if (!pending->done) {  // too late: the caller was told so
      pending_count_.fetch_sub(1);
      return;
    }
    if (!answer) {
      const bool was_sent = answer.error().reason() == "outcome_unknown";
      (was_sent ? metrics_.unknown : metrics_.unsent).add();
      finish(std::move(pending), std::move(answer));
      return;
    }
    if (answer->kind() != Reply::Kind::kError) {
      metrics_.done.add();
      finish(std::move(pending), std::move(answer));
      return;
    }
    if (is_cluster() && follow(*answer, from.node(), pending)) return;
    // Not repeated: later commands on the same key may be on their way already, and would be done
    // first.
    if (is_passing(answer->text())) request_slots();
    if (!is_cluster() && is_of_a_replica(answer->text())) {
      // It would refuse for ever, while its name may lead to the new primary already.
      from.leave(
          Error(ErrorCode::kUnavailable, std::format("{} is a replica", from.node().address())));
    }
    metrics_.refused.add();
    finish(std::move(pending), fail(refusal(answer->text())));
  }

  void on_late(Pending& pending, const Error& why) override {
    // It stays among the pending ones, since its answer is still to come: so that a node that is
    // slower than its callers cannot pile up without bound what nobody waits for.
    metrics_.unknown.add();
    answer(pending, fail(why));
  }

  void on_down(Connection& connection, const Error& why) override {
    if (stopping_.load()) return;
    metrics_.connections_lost.add();
    if (!is_outage_logged_) {
      // Once until a command succeeds again: an outage must not flood the log.
      log_.warning("redis_connection_lost", why, {{"node", connection.node().address()}});
      is_outage_logged_ = true;
    }
    if (is_cluster()) {
      // Another node may have taken over; what was never sent is routed by the new map.
      for (auto& pending : connection.take_waiting()) {
        if (pending->sequence != 0) {
          hold(std::move(pending));
        } else {
          metrics_.unsent.add();
          finish(std::move(pending), fail(why));  // another node is asked for the slots
        }
      }
      request_slots();
    }
  }

 private:
  bool is_cluster() const { return config_.mode == "cluster"; }

  void wake() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(wake_fd_, &one, sizeof one);  // full means awake
  }

  void run() {
    std::array<epoll_event, 64> events{};
    if (is_cluster()) request_slots();
    bool had_commands = false;  // in the turn before: more of them are to be expected
    while (!stopping_.load()) {
      if (had_commands) gather();
      const bool is_busy = pending_count_.load() > 0 || slots_wanted_ || is_pruning_due_;
      const int patience = had_commands ? 0 : is_busy ? static_cast<int>(kTick.count()) : -1;
      const int count =
          epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), patience);
      for (int i = 0; i < count; ++i) {
        auto* connection = static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (connection != nullptr) {
          connection->on_epoll(events[static_cast<std::size_t>(i)].events);
        } else {
          std::uint64_t ignored = 0;
          [[maybe_unused]] const auto got = read(wake_fd_, &ignored, sizeof ignored);
        }
      }
      is_woken_.store(false);
      auto commands = incoming_.drain();
      had_commands = !commands.empty() && config_.gather > milliseconds(0);
      for (auto& pending : commands) {
        pending->sequence = ++last_sequence_;
        admit(std::move(pending));
      }
      tick();
      metrics_.pending.set(static_cast<double>(pending_count_.load()));
    }
    shut_down();
  }

  /// Lets commands and answers come together, so that many share a wake-up, a write and a read.
  /// What comes after silence is not kept waiting.
  void gather() {
    is_woken_.store(true);  // we look by ourselves; only the end wakes us
    pollfd end{.fd = wake_fd_, .events = POLLIN, .revents = 0};
    poll(&end, 1, static_cast<int>(config_.gather.count()));
  }

  void tick() {
    const MonoTime now = clock_.mono();
    if (now - last_tick_ < kTick) return;
    last_tick_ = now;
    held_slots_.clear();
    for (auto& [sequence, pending] : std::exchange(held_, {})) {
      if (pending->deadline <= now) {
        metrics_.unsent.add();
        finish(std::move(pending), fail(ErrorCode::kDeadlineExceeded,
                                        "no node served the command before the deadline"));
      } else {
        admit(std::move(pending));
      }
    }
    for (auto& [address, connection] : connections_) connection->tick(now);
    if (is_pruning_due_) prune_connections();
    if (slots_wanted_ && !slots_asked_ && slots_retry_at_ <= now) ask_for_slots();
  }

  /// Keeps a command until the next tick, and so what is handed in later for the same slot: no
  /// command may pass an earlier one on the same key.
  void hold(std::unique_ptr<Pending> pending) {
    held_slots_.insert(pending->command.slot());
    const std::uint64_t sequence = pending->sequence;
    held_.emplace(sequence, std::move(pending));
  }

  void admit(std::unique_ptr<Pending> pending) {
    const std::int32_t slot = pending->command.slot();
    if (slot >= 0 && held_slots_.contains(slot)) {
      hold(std::move(pending));
    } else {
      route(std::move(pending));
    }
  }

  void route(std::unique_ptr<Pending> pending) {
    if (!is_cluster()) {
      connection_to(target_.nodes.front()).send(std::move(pending));
      return;
    }
    const std::int32_t slot = pending->command.slot();
    const Node* node = slots_.empty() ? nullptr
                       : slot >= 0    ? slots_.node_of(static_cast<std::uint16_t>(slot))
                                      : &slots_.nodes()[any_turn_++ % slots_.nodes().size()];
    if (node == nullptr) {
      hold(std::move(pending));
      request_slots();
      return;
    }
    connection_to(*node).send(std::move(pending));
  }

  /// True when the answer is a redirection, which has then been followed.
  bool follow(const Reply& answer, const Node& answered, std::unique_ptr<Pending>& pending) {
    const auto redirect = Redirect::parse(answer.text(), answered);
    if (!redirect || ++pending->redirects > kMaxRedirects) return false;
    metrics_.redirects.add();
    if (redirect->is_ask) {
      pending->is_asking = true;
    } else {
      slots_.assign(redirect->slot, redirect->slot, redirect->node);
      request_slots();  // where one slot moved, others may have
    }
    connection_to(redirect->node).send(std::move(pending));
    return true;
  }

  Connection& connection_to(const Node& node) {
    auto& connection = connections_[node.address()];
    if (connection == nullptr) {
      connection = std::make_unique<Connection>(
          node,
          Connection::Options{config_, target_.user, tls_ ? &*tls_ : nullptr, clock_, random_,
                              epoll_fd_},
          *this);
    }
    return *connection;
  }

  void request_slots() { slots_wanted_ = is_cluster(); }

  void ask_for_slots() {
    // Seeds and known nodes in turn, so that one dead node does not hide the cluster.
    std::vector<Node> candidates = slots_.nodes();
    candidates.insert(candidates.end(), target_.nodes.begin(), target_.nodes.end());
    const Node asked = candidates[slots_turn_++ % candidates.size()];
    const MonoTime now = clock_.mono();
    slots_asked_ = true;
    pending_count_.fetch_add(1);
    auto on_slots = [this, asked](Result<Reply> reply) {
      slots_asked_ = false;
      slots_retry_at_ = clock_.mono() + kTick;
      if (stopping_.load() || !reply) return;
      auto map = SlotMap::parse(*reply, asked);
      if (!map) return;
      slots_ = *std::move(map);
      slots_wanted_ = false;
      // What waits for a node goes where the new map says, before anything that comes later.
      for (auto& [address, connection] : connections_) {
        for (auto& pending : connection->take_waiting()) hold(std::move(pending));
      }
      is_pruning_due_ = true;  // not here: this may run inside one of the connections
    };
    // A node that hangs may cost only a part of the time that commands have.
    connection_to(asked).send(std::make_unique<Pending>(
        Pending{Command::anywhere({"CLUSTER", "SLOTS"}), std::move(on_slots), now,
                now + config_.command_timeout / 4}));
  }

  /// Closes connections to nodes that have left the Cluster, once nothing is under way on them.
  void prune_connections() {
    is_pruning_due_ = false;
    const auto is_known = [&](const Node& node) {
      return std::ranges::contains(slots_.nodes(), node) ||
             std::ranges::contains(target_.nodes, node);
    };
    std::erase_if(connections_, [&](const auto& entry) {
      const Connection& connection = *entry.second;
      if (is_known(connection.node())) return false;
      is_pruning_due_ = is_pruning_due_ || !connection.is_idle();
      return connection.is_idle();
    });
  }

  void finish(std::unique_ptr<Pending> pending, Result<Reply>&& result) {
    pending_count_.fetch_sub(1);
    answer(*pending, std::move(result));
  }

  void answer(Pending& pending, Result<Reply>&& result) {
    if (result) is_outage_logged_ = false;
    const std::chrono::duration<double> took = clock_.mono() - pending.started;
    metrics_.seconds.observe(took.count());
    std::exchange(pending.done, nullptr)(std::move(result));
  }

  void shut_down() {
    auto cancel = [this](std::unique_ptr<Pending> pending) {
      finish(std::move(pending), fail(ErrorCode::kCancelled, "the client is closing"));
    };
    for (auto& pending : incoming_.drain()) cancel(std::move(pending));
    for (auto& [sequence, pending] : std::exchange(held_, {})) cancel(std::move(pending));
    for (auto& [address, connection] : connections_) {
      for (auto& pending : connection->take_waiting()) cancel(std::move(pending));
    }
    connections_.clear();  // hiredis answers what is in flight: outcome unknown
  }

  const Config config_;
  const Target target_;
  std::optional<TlsSessions> tls_;
  const Clock& clock_;
  Random& random_;
  const Logger log_;
  Metrics metrics_;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> is_woken_ = false;
  std::atomic<std::int64_t> pending_count_ = 0;
  BoundedQueue<std::unique_ptr<Pending>> incoming_;

  const int epoll_fd_;
  const int wake_fd_;
  std::map<std::string, std::unique_ptr<Connection>> connections_;
  std::map<std::uint64_t, std::unique_ptr<Pending>> held_;  // by order of handing in
  std::set<std::int32_t> held_slots_;                       // of the commands in held_
  std::uint64_t last_sequence_ = 0;
  SlotMap slots_;
  std::size_t any_turn_ = 0;  // of the nodes, for commands that any node can do
  bool is_pruning_due_ = false;
  bool slots_wanted_ = false;
  bool slots_asked_ = false;
  std::size_t slots_turn_ = 0;
  MonoTime slots_retry_at_{};
  MonoTime last_tick_{};
  bool is_outage_logged_ = false;
  std::thread thread_;
};

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::open(Config config, const Clock& clock, Random& random,
                                             Registry& registry, Logger log) {
  SLUICE_TRY_ASSIGN(Target target, Target::parse(config.url));
  std::optional<TlsSessions> tls;
  if (target.is_tls) {
    SLUICE_TRY_ASSIGN(tls, TlsSessions::open(config));
  }
  return std::unique_ptr<Client>(
      new Client(std::make_unique<Impl>(std::move(config), std::move(target), std::move(tls), clock,
                                        random, registry, std::move(log))));
}

void Client::send(Command command, Callback done) {
  impl_->send(std::move(command), std::move(done));
}

Result<Reply> Client::call(Command command) {
  std::promise<Result<Reply>> promise;
  auto answer = promise.get_future();
  send(std::move(command), [&](Result<Reply> reply) { promise.set_value(std::move(reply)); });
  return answer.get();  // every command is answered, at the latest by its deadline
}

std::vector<Result<Reply>> Client::call_all(std::vector<Command> commands) {
  std::vector<std::promise<Result<Reply>>> promises(commands.size());
  std::vector<Result<Reply>> answers;
  answers.reserve(commands.size());
  for (std::size_t i = 0; i < commands.size(); ++i) {
    send(std::move(commands[i]),
         [promise = &promises[i]](Result<Reply> reply) { promise->set_value(std::move(reply)); });
  }
  for (auto& promise : promises) answers.push_back(promise.get_future().get());
  return answers;
}

Result<> Client::ping() {
  SLUICE_TRY(call(Command::anywhere({"PING"})));
  return {};
}

}  // namespace sluice::redis
