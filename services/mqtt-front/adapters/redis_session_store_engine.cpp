#include "adapters/redis_session_store_engine.h"

#include <algorithm>
#include <format>
#include <latch>
#include <utility>

#include <sluice/base/planted_bug.h>

namespace sluice::front {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::minutes kHoldPeriod{20};  // a third of kOwnedSlack: two may fail
constexpr std::chrono::seconds kHoldStep{1};
// Buckets of the map that are held at once: some thousand commands, beside everything else.
constexpr std::size_t kBucketsPerStep = 2000;

}  // namespace

RedisSessionStore::Engine::Engine(const SessionStoreConfig& config, const Clock& clock,
                                  Registry& registry, Logger log,
                                  std::unique_ptr<redis::Client> client, Identity identity,
                                  SessionStoreListener& listener)
    : config_(config),
      clock_(clock),
      metrics_(registry),
      log_(std::move(log)),
      identity_(std::move(identity)),
      listener_(listener),
      keys_(config.key_prefix),
      owned_client_(std::move(client)),
      client_(*owned_client_),
      wide_(calls_, client_, mirror_scripts_, metrics_, log_, keys_.mirror("wide"),
            WideTable::bounds(config)),
      retained_(calls_, clock, metrics_, client_, mirror_scripts_, metrics_, log_,
                keys_.mirror("retained"), RetainedTable::bounds(config)),
      sweeper_(client_, keys_, identity_.front.value(), config.will_interval,
               SessionSweeper::Hooks{
                   .on_will_due =
                       [this](const SessionKey& key, const std::string& record) {
                         if (auto call = call_with_will(key, record)) {
                           calls_.push_when_there_is_room(*std::move(call));
                         }
                       },
                   .on_ended =
                       [this](const SessionKey& key, const SessionSweeper::Records& records) {
                         hand_out_ended(key, records);
                       },
                   .on_gone = [this](const SessionKey& key) { wide_.remove_all_of(key); }}),
      lease_(config, clock, metrics_, log_, client_, keys_.lease(identity_.front.value()),
             keys_.fronts(), identity_.front.value(), identity_.address,
             FrontLease::Hooks{.on_change =
                                   [this](bool is_valid, bool sessions_lost) {
                                     if (sessions_lost) {
                                       const std::lock_guard lock(held_mutex_);
                                       held_.clear();
                                       metrics_.sessions.set(0);
                                     }
                                     // Not by calls_: behind thousands of changes of the tables
                                     // a loss would be told of when the lease is valid again.
                                     listener_.on_lease(is_valid, sessions_lost);
                                   },
                               .on_forgotten =
                                   [this] {
                                     const std::lock_guard lock(stop_mutex_);
                                     is_forgotten_ = true;
                                   }}),
      fronts_(client_, keys_, clock, lease_, config.front_lease) {
  lease_thread_ = std::thread([this] { run_lease(); });
  following_thread_ = std::thread([this] { run_following(); });
}

RedisSessionStore::Engine::~Engine() {
  bool is_abandoned = false;
  {
    const std::lock_guard lock(stop_mutex_);
    is_abandoned = is_stopping_;
  }
  stop_threads();
  if (!is_abandoned) {
    const std::string lease = keys_.lease(identity_.front.value());
    // Best effort: without it others wait until the lease has run out.
    static_cast<void>(client_.call(redis::Command::on_key(lease, {"DEL", lease})));
  }
  owned_client_.reset();  // ends everything that is under way, through callbacks that need the rest
}

void RedisSessionStore::Engine::stop_threads() {
  {
    const std::lock_guard lock(stop_mutex_);
    is_stopping_ = true;
  }
  stop_changed_.notify_all();
  calls_.close();
  if (lease_thread_.joinable()) lease_thread_.join();
  if (following_thread_.joinable()) following_thread_.join();
}

void RedisSessionStore::Engine::stop_sweeping() {
  if (SLUICE_PLANTED_BUG("front_sweeps_while_it_stops")) return;
  may_sweep_ = false;
  {
    const std::lock_guard under_way(sweep_mutex_);
  }
  // Behind all that the slices before have brought.
  std::latch is_told(1);
  calls_.push([&is_told](SessionStoreListener&) { is_told.count_down(); });
  is_told.wait();
}

void RedisSessionStore::Engine::run_lease() {
  // Often enough to renew on time and to tell soon; what acts asks lease_is_valid() anyway.
  const milliseconds interval =
      std::clamp(config_.front_lease / 20, milliseconds(5), milliseconds(100));
  while (true) {
    {
      const std::lock_guard lock(stop_mutex_);
      if (is_stopping_) return;
    }
    lease_.tick();
    if (auto call = calls_.pop_for(interval)) (*call)(listener_);
  }
}

void RedisSessionStore::Engine::run_following() {
  MonoTime swept_at{};
  bool has_more_to_sweep = false;
  bool is_failing = false;
  std::unique_lock lock(stop_mutex_);
  while (!is_stopping_) {
    const bool is_forgotten = std::exchange(is_forgotten_, false);
    lock.unlock();
    const MonoTime now = clock_.mono();
    Result<> result = wide_.poll();
    if (result) result = retained_.poll();
    const bool is_due = has_more_to_sweep || now - swept_at >= config_.will_interval;
    has_more_to_sweep = false;
    if (result && is_due) {
      swept_at = now;
      auto swept = sweep(now);
      if (swept) {
        has_more_to_sweep = *swept;
      } else {
        result = fail(std::move(swept).error());
      }
    }
    if (result) release_again(now);
    hold_some(is_forgotten, now);
    if (!result && !is_failing) log_.warning("session_following_failed", result.error());
    is_failing = !result;
    lock.lock();
    if (has_more_to_sweep) continue;
    stop_changed_.wait_for(lock, config_.follow_interval, [&] { return is_stopping_; });
  }
}

// In slices, each after a look at the tables: of a front that had tens of thousands of wills
// the last would else be handed out before anything else is heard of.
Result<bool> RedisSessionStore::Engine::sweep(MonoTime now) {
  const std::lock_guard slice(sweep_mutex_);
  if (!may_sweep_) return false;
  auto has_more = sweeper_.sweep(lease_.may_judge_others(now));
  while (has_more && *has_more && SLUICE_PLANTED_BUG("front_sweeps_to_the_end")) {
    has_more = sweeper_.sweep(lease_.may_judge_others(now));
  }
  return has_more;
}

std::optional<ListenerCalls::Call> RedisSessionStore::Engine::call_with_will(
    const SessionKey& key, const std::string& record) {
  auto will = decode_will(record, now());
  if (!will) {
    metrics_.damaged.add();
    return std::nullopt;
  }
  metrics_.wills.add();
  return [key, will = *std::move(will)](SessionStoreListener& listener) mutable {
    listener.on_will_due(key, std::move(will));
  };
}

void RedisSessionStore::Engine::hand_out_ended(const SessionKey& key,
                                               const SessionSweeper::Records& records) {
  std::vector<mqtt::Delivery> shared;
  for (const auto& [sequence, record] : records) {
    auto delivery = decode_delivery(record, sequence, now());
    if (delivery && mqtt::may_be_given_on(*delivery)) {
      shared.push_back(*std::move(delivery));
    } else {
      metrics_.damaged.add();
      remove_ended(key, sequence);
    }
  }
  calls_.push_when_there_is_room(
      [key, shared = std::move(shared)](SessionStoreListener& listener) mutable {
        listener.on_session_ended(key, std::move(shared));
      });
}

void RedisSessionStore::Engine::list_ended(const SessionKey& key, Done<void> done) {
  const std::string list = keys_.ended_sessions();
  const std::string at = std::to_string(clock_.wall().time_since_epoch().count());
  client_.send(redis::Command::on_key(list, {"ZADD", list, at, key.value()}),
               [this, done = std::move(done)](Result<redis::Reply> reply) mutable {
                 if (!reply) return done(fail(to_port_error(std::move(reply).error())));
                 done({});
               });
}

void RedisSessionStore::Engine::put_wide(const SessionKey& key, Epoch epoch,
                                         const StoredSubscription& subscription, Done<void> done) {
  wide_.put(WideTable::field_of(key, subscription.group, subscription.filter),
            WideTable::value_of(subscription, epoch),
            [this, key, done = std::move(done)](Result<redis::Reply> reply) mutable {
              if (!reply) return done(fail(to_port_error(std::move(reply).error())));
              list_ended(key, std::move(done));
            });
}

void RedisSessionStore::Engine::remove_ended(const SessionKey& key, std::uint64_t sequence) {
  const std::string ended = keys_.session(key).back();
  client_.send(redis::Command::on_key(ended, {"HDEL", ended, std::format("d{}", sequence)}),
               [](const Result<redis::Reply>&) {});
}

void RedisSessionStore::Engine::remember(const SessionKey& key, const Held& held) {
  const std::lock_guard lock(held_mutex_);
  // Answers come in the order of claims, so that the last one is the one that counts.
  held_[key] = held;
  metrics_.sessions.set(static_cast<double>(held_.size()));
}

bool RedisSessionStore::Engine::is_listed(const SessionKey& key) {
  const std::lock_guard lock(held_mutex_);
  const auto found = held_.find(key);
  return found != held_.end() && found->second.is_listed;
}

void RedisSessionStore::Engine::set_listed(const SessionKey& key) {
  const std::lock_guard lock(held_mutex_);
  if (const auto found = held_.find(key); found != held_.end()) found->second.is_listed = true;
}

std::optional<RedisSessionStore::Engine::Held> RedisSessionStore::Engine::forget(
    const SessionKey& key, Epoch epoch) {
  const std::lock_guard lock(held_mutex_);
  const auto found = held_.find(key);
  if (found == held_.end() || found->second.epoch != epoch) return std::nullopt;
  const Held held = found->second;
  held_.erase(found);
  metrics_.sessions.set(static_cast<double>(held_.size()));
  return held;
}

void RedisSessionStore::Engine::run_hold(const SessionKey& key, const Held& held,
                                         redis::Client::Callback done) {
  scripts_.hold.run(client_, keys_.session(key),
                    {std::to_string(held.epoch.value()), identity_.front.value(),
                     std::to_string(held.expiry_seconds), std::to_string(kOwnedSlack.count())},
                    std::move(done));
}

void RedisSessionStore::Engine::hold_some(bool all, MonoTime now) {
  // Sent under the lock: a release takes the session off the map first and is sent after it, so
  // that no hold brings a released session back.
  const std::lock_guard lock(held_mutex_);
  const std::size_t count = held_.bucket_count();
  if (now - hold_stepped_at_ >= kHoldStep) {
    hold_stepped_at_ = now;
    hold_left_ += count / static_cast<std::size_t>(kHoldPeriod / kHoldStep) + 1;
  }
  hold_left_ = all ? count : std::min(hold_left_, count);
  for (std::size_t step = 0; step < kBucketsPerStep && hold_left_ > 0; ++step, --hold_left_) {
    hold_cursor_ = (hold_cursor_ + 1) % count;
    for (auto at = held_.begin(hold_cursor_); at != held_.end(hold_cursor_); ++at) {
      run_hold(
          at->first, at->second,
          [this, key = at->first, epoch = at->second.epoch](const Result<redis::Reply>& reply) {
            if (!reply && reply.error().reason() == "FENCED") on_fenced(key, epoch);
          });
    }
  }
}

void RedisSessionStore::Engine::on_fenced(const SessionKey& key, Epoch epoch) {
  forget(key, epoch);
  metrics_.fenced.add();
  calls_.push([key, epoch](SessionStoreListener& listener) { listener.on_fenced(key, epoch); });
}

Error RedisSessionStore::Engine::to_port_error(Error error) {
  const std::string reason = error.reason();
  if (reason == "FENCED" || reason == "MISSING") {
    return Error(ErrorCode::kAborted, "the session has a later owner").with_reason("fenced");
  }
  if (reason == "OWNED") {
    return Error(ErrorCode::kFailedPrecondition, error.message()).with_reason("owned");
  }
  if (reason == "GONE") return Error(ErrorCode::kNotFound, error.message());
  if (reason.starts_with("session_max_") || reason.starts_with("retained_max_")) {
    metrics_.refused(reason);
    return Error(ErrorCode::kResourceExhausted, error.message()).with_reason(reason);
  }
  if (error.code() == ErrorCode::kDeadlineExceeded) {
    return Error(ErrorCode::kUnavailable, error.message()).with_reason(reason);
  }
  return error;
}

}  // namespace sluice::front
