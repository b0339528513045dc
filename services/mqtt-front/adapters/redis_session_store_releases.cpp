#include "adapters/redis_session_store_engine.h"

#include <utility>

#include <sluice/base/planted_bug.h>

// Letting go of sessions, until Redis knows it.
namespace sluice::front {
namespace {

using redis::Reply;

// As many as a large front has devices: all of them may leave while Redis is away.
constexpr std::size_t kMaxUnreleased = 100'000;
constexpr std::size_t kTriesPerStep = 256;
constexpr std::chrono::seconds kTryAgainAfter{1};
// Of a claim without an answer: one that was still on its way shows by then.
constexpr int kLooks = 10;

}  // namespace

void RedisSessionStore::Engine::release(const SessionKey& key, Epoch epoch,
                                        SessionStore::Release release, Done<void> done) {
  const auto held = forget(key, epoch);
  auto let_go = std::make_shared<LetGo>(LetGo{.epoch = epoch,
                                              .expiry_seconds = release.expiry_seconds,
                                              .had_will = held && held->has_will});
  if (release.will) {
    let_go->will = encode_will(*release.will, now());
    let_go->will_delay = release.will->delay;
  }
  run_release(key, let_go, false,
              [this, key, let_go, done = std::move(done)](Result<> released) mutable {
                if (!released && released.error().reason() == "fenced") metrics_.fenced.add();
                if (!released && released.error().reason() != "fenced") {
                  keep_unreleased(key, let_go);
                }
                done(std::move(released));
              });
}

void RedisSessionStore::Engine::run_release(const SessionKey& key,
                                            const std::shared_ptr<const LetGo>& let_go,
                                            bool is_again, Done<void> done) {
  scripts_.release.run(
      client_, keys_.session(key),
      {std::to_string(let_go->epoch.value()), identity_.front.value(),
       std::to_string(let_go->expiry_seconds), let_go->will,
       std::to_string(let_go->will_delay.count()), is_again ? "1" : "0"},
      [this, key, let_go, done = std::move(done)](Result<Reply> reply) mutable {
        if (!reply) return done(fail(to_port_error(std::move(reply).error())));
        if (reply->items().size() != 2) {
          metrics_.damaged.add();
          return done(fail(ErrorCode::kDataLoss, "a release's answer cannot be read"));
        }
        on_let_go(key, *let_go, *reply, std::move(done));
      });
}

void RedisSessionStore::Engine::on_let_go(const SessionKey& key, const LetGo& let_go,
                                          const Reply& reply, Done<void> done) {
  const std::string& due_at = reply.items()[0].text();
  if (reply.items()[1].integer() > 0) list_ended(key, [](Result<>) {});
  const std::string front_wills = keys_.front_wills(identity_.front.value());
  const auto unlist = [this, key, had_will = let_go.had_will, front_wills] {
    if (!had_will) return;
    client_.send(redis::Command::on_key(front_wills, {"SREM", front_wills, key.value()}),
                 [](const Result<Reply>&) {});
  };
  if (due_at == "0") {
    unlist();
    return done({});
  }
  // Listed as due before it is taken off this front's list: it is always found by one.
  const std::string due = keys_.due_wills();
  client_.send(redis::Command::on_key(due, {"ZADD", due, due_at, key.value()}),
               [this, unlist, done = std::move(done)](Result<Reply> listed) mutable {
                 if (!listed) return done(fail(to_port_error(std::move(listed).error())));
                 unlist();
                 done({});
               });
}

void RedisSessionStore::Engine::keep_unreleased(const SessionKey& key, LetGoPtr let_go) {
  metrics_.releases_failed.add();
  if (SLUICE_PLANTED_BUG("front_lets_go_once")) return;
  const std::lock_guard lock(unreleased_mutex_);
  if (unreleased_.size() >= kMaxUnreleased && !unreleased_.contains(key)) return;
  unreleased_[key] = let_go;
  unreleased_due_.push_back({clock_.mono() + kTryAgainAfter, key, std::move(let_go)});
}

void RedisSessionStore::Engine::forget_unreleased(const SessionKey& key) {
  const std::lock_guard lock(unreleased_mutex_);
  unreleased_.erase(key);
}

void RedisSessionStore::Engine::settle_unreleased(const SessionKey& key, const LetGoPtr& let_go) {
  const std::lock_guard lock(unreleased_mutex_);
  const auto found = unreleased_.find(key);
  if (found != unreleased_.end() && found->second == let_go) unreleased_.erase(found);
}

bool RedisSessionStore::Engine::is_unreleased(const SessionKey& key, const LetGoPtr& let_go) {
  const std::lock_guard lock(unreleased_mutex_);
  const auto found = unreleased_.find(key);
  return found != unreleased_.end() && found->second == let_go;
}

void RedisSessionStore::Engine::release_again(MonoTime now) {
  for (std::size_t tries = 0; tries < kTriesPerStep; ++tries) {
    SessionKey key;
    LetGoPtr let_go;
    {
      const std::lock_guard lock(unreleased_mutex_);
      if (unreleased_due_.empty() || unreleased_due_.front().at > now) return;
      key = unreleased_due_.front().key;
      let_go = std::move(unreleased_due_.front().let_go);
      unreleased_due_.pop_front();
      const auto found = unreleased_.find(key);
      if (found == unreleased_.end() || found->second != let_go) continue;
      unreleased_due_.push_back({now + kTryAgainAfter, key, let_go});
    }
    if (let_go->epoch == Epoch()) {
      look_for_claim(key, let_go);
      continue;
    }
    run_release(key, let_go, true, [this, key, let_go](const Result<>& released) {
      if (released || released.error().reason() == "fenced") settle_unreleased(key, let_go);
    });
  }
}

// Whether a claim without an answer was made. A new claim of this front takes it off the list
// before it is sent, so that what is found while it is listed is not that one's.
void RedisSessionStore::Engine::look_for_claim(const SessionKey& key, const LetGoPtr& let_go) {
  const std::string record = keys_.session(key).front();
  client_.send(redis::Command::on_key(record, {"GET", record}), [this, key,
                                                                 let_go](Result<Reply> reply) {
    if (!reply || !is_unreleased(key, let_go)) return;
    const auto found = reply->is_nil() ? std::nullopt : SessionRecord::parse(reply->text());
    if (!found || found->owner != identity_.front.value()) {
      if (++let_go->looks >= kLooks) settle_unreleased(key, let_go);
      return;
    }
    const auto made = std::make_shared<const LetGo>(LetGo{.epoch = found->epoch,
                                                          .expiry_seconds = found->expiry_seconds,
                                                          .had_will = let_go->had_will});
    run_release(key, made, true, [this, key, let_go](const Result<>& released) {
      if (released || released.error().reason() == "fenced") settle_unreleased(key, let_go);
    });
  });
}

}  // namespace sluice::front
