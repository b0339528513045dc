#include "adapters/redis_session_store_fronts.h"

#include <utility>

namespace sluice::front {
namespace {

using redis::Reply;

// Of fronts that are remembered as alive; an installation has some dozens.
constexpr std::size_t kMaxKnown = 1000;

}  // namespace

FrontDirectory::FrontDirectory(redis::Client& client, const RedisKeys& keys, const Clock& clock,
                               const FrontLease& own, std::chrono::milliseconds lease)
    : client_(client), keys_(keys), clock_(clock), own_(own), lease_(lease) {}

void FrontDirectory::find(const std::string& front, Found done) {
  const MonoTime now = clock_.mono();
  if (auto address = known(front, now)) return done(std::move(address));
  const std::string lease = keys_.lease(front);
  client_.send(redis::Command::on_key(lease, {"GET", lease}),
               [this, front, now, done = std::move(done)](Result<Reply> reply) mutable {
                 if (!reply) return done(fail(std::move(reply).error()));
                 if (reply->is_nil()) return find_silent(front, std::move(done));
                 remember(front, reply->text(), now);
                 done(std::optional(reply->text()));
               });
}

std::optional<std::string> FrontDirectory::known(const std::string& front, MonoTime now) {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(front);
  if (found == known_.end() || now >= found->second.until) return std::nullopt;
  return found->second.address;
}

void FrontDirectory::remember(const std::string& front, std::string address, MonoTime now) {
  const std::lock_guard lock(mutex_);
  if (known_.size() >= kMaxKnown) known_.clear();
  // For a part of the lease: so much later is a front's death noticed.
  known_[front] = {.address = std::move(address), .until = now + lease_ / 3};
}

// Of one without a lease. While it may only not have come back yet it is one that lives: whoever
// wants a session of it asks it, in vain if it is dead.
void FrontDirectory::find_silent(const std::string& front, Found done) {
  if (own_.may_judge_others(clock_.mono())) return done(std::optional<std::string>());
  const std::string fronts = keys_.fronts();
  client_.send(redis::Command::on_key(fronts, {"HGET", fronts, front}),
               [done = std::move(done)](Result<Reply> reply) mutable {
                 if (!reply) return done(fail(std::move(reply).error()));
                 if (reply->is_nil()) return done(std::optional<std::string>());  // swept as dead
                 done(std::optional(reply->text()));
               });
}

}  // namespace sluice::front
