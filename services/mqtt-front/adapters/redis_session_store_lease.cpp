#include "adapters/redis_session_store_lease.h"

#include <algorithm>
#include <format>
#include <limits>
#include <utility>

#include <sluice/base/planted_bug.h>

namespace sluice::front {
namespace {

// Renewals per lease: some may be lost before the lease is.
constexpr int kRenewalsPerLease = 6;
// Within this a front that lives has renewed its lease when Redis is back: libs/redis connects
// again after a second at most.
constexpr std::chrono::milliseconds kComesBackWithin{1500};
constexpr std::int64_t kNotSteady = std::numeric_limits<std::int64_t>::max();

}  // namespace

FrontLease::FrontLease(const SessionStoreConfig& config, const Clock& clock,
                       SessionStoreMetrics metrics, Logger log, redis::Client& client,
                       std::string lease_key, std::string fronts_key, std::string front,
                       std::string address, Hooks hooks)
    : lease_(config.front_lease),
      keeps_in_outage_(config.keeps_in_outage()),
      clock_(clock),
      metrics_(metrics),
      log_(std::move(log)),
      client_(client),
      lease_key_(std::move(lease_key)),
      fronts_key_(std::move(fronts_key)),
      front_(std::move(front)),
      address_(std::move(address)),
      steady_since_(kNotSteady),
      hooks_(std::move(hooks)) {}

bool FrontLease::may_judge_others(MonoTime now) const {
  if (SLUICE_PLANTED_BUG("front_judges_others_after_an_outage")) return true;
  const std::int64_t since = steady_since_.load(std::memory_order_acquire);
  const std::chrono::nanoseconds patience = std::max(lease_, kComesBackWithin);
  return since != kNotSteady && now.time_since_epoch().count() - since >= patience.count();
}

void FrontLease::set_valid_until(MonoTime time) {
  valid_until_.store(time.time_since_epoch().count(), std::memory_order_release);
}

void FrontLease::begin_outage() {
  is_outage_ = true;
  steady_since_.store(kNotSteady, std::memory_order_release);
}

void FrontLease::tick() {
  const std::lock_guard lock(mutex_);
  const MonoTime now = clock_.mono();
  if (is_told_valid_ && !is_valid(now)) {
    is_told_valid_ = false;
    metrics_.lease_valid.set(0);
    metrics_.leases_lost.add();
    log_.warning("session_lease_uncertain", {{"front", front_}});
    hooks_.on_change(false, false);
  }
  if (is_in_flight_ && now - sent_at_ > lease_ / 2) begin_outage();
  // Only while this thread runs often enough: after a gap it is not valid, and stays so.
  if (is_outage_ && keeps_in_outage_ && is_told_valid_) set_valid_until(now + lease_);
  if (!is_in_flight_ && now >= next_at_) send(now);
}

void FrontLease::send(MonoTime now) {
  is_in_flight_ = true;
  sent_at_ = now;
  next_at_ = now + lease_ / kRenewalsPerLease;
  const std::string lease_ms = std::format("{}", lease_.count());
  const bool is_renewal = is_registered_;
  // XX: a renewal must not bring back a lease that ran out, since others may have acted on that.
  client_.send(redis::Command::on_key(lease_key_, {"SET", lease_key_, address_,
                                                   is_renewal ? "XX" : "NX", "PX", lease_ms}),
               [this, now, is_renewal](const Result<redis::Reply>& reply) {
                 on_answer(now, is_renewal, reply);
               });
  // Repeated each time, since Redis may lose it: whoever is not in this list is never swept.
  client_.send(redis::Command::on_key(fronts_key_, {"HSET", fronts_key_, front_, address_}),
               [](const Result<redis::Reply>&) {});
}

void FrontLease::on_answer(MonoTime sent_at, bool was_renewal, const Result<redis::Reply>& reply) {
  const std::lock_guard lock(mutex_);
  is_in_flight_ = false;
  const MonoTime now = clock_.mono();
  if (!reply) {
    if (!is_outage_) log_.warning("session_lease_not_renewed", reply.error(), {{"front", front_}});
    return begin_outage();
  }
  is_outage_ = false;
  if (reply->is_nil()) {
    if (was_renewal) return on_missing(now);
    is_registered_ = true;  // an earlier answer was lost
    next_at_ = now;
    return;
  }
  is_registered_ = true;
  if (steady_since_.load(std::memory_order_relaxed) == kNotSteady) {
    steady_since_.store(now.time_since_epoch().count(), std::memory_order_release);
  }
  if (is_valid(sent_at + lease_)) return;  // it is valid for longer already
  set_valid_until(sent_at + lease_);
  if (!is_told_valid_ && is_valid(now)) {
    is_told_valid_ = true;
    metrics_.lease_valid.set(1);
    log_.info("session_lease_valid", {{"front", front_}});
    hooks_.on_change(true, false);
  }
}

void FrontLease::on_missing(MonoTime now) {
  steady_since_.store(kNotSteady, std::memory_order_release);
  is_registered_ = false;
  next_at_ = now;
  if (is_told_valid_ && is_valid(now)) {
    metrics_.data_losses.add();
    log_.warning("session_lease_forgotten", {{"front", front_}});
    hooks_.on_forgotten();
    return;
  }
  is_told_valid_ = false;
  metrics_.lease_valid.set(0);
  log_.warning("session_lease_lost", {{"front", front_}});
  hooks_.on_change(false, true);
}

}  // namespace sluice::front
