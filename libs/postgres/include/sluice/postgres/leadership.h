#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <sluice/base/result.h>
#include <sluice/postgres/pool.h>
#include <sluice/postgres/transaction.h>

namespace sluice::postgres {

/// One leader among all instances of a service, for work that must have one doer: retention, outbox
/// relays. Held as a session advisory lock on a connection of its own (not one of the pool's), so
/// it ends when this process or its connection does, without any time-out to tune. An instance that
/// waits for leadership has such a connection too.
///
///   Leadership leader(pool, "device_registry.outbox");
///   every interval:
///     SLUICE_TRY_ASSIGN(bool leads, leader.acquire());
///     if (leads) leader.transaction({}, [&](Transaction& tx) { …relay a batch… });
///
/// What can be promised: of two transactions run through two Leaderships of one name, never both
/// commit at the same time, because each runs in the very session that holds the lock. What cannot:
/// an effect outside PostgreSQL may still be under way when the connection is lost and another
/// instance takes over; such effects must be idempotent. Needs a direct connection: a pooler in
/// transaction mode (such as PgBouncer's) breaks session locks. Thread-safe; calls wait for each
/// other.
class Leadership {
 public:
  /// The name is hashed to the lock's key; use "<schema>.<purpose>".
  Leadership(Pool& pool, std::string_view name);
  ~Leadership();
  Leadership(const Leadership&) = delete;
  Leadership& operator=(const Leadership&) = delete;

  /// True when this instance leads: it did and its session answers, or it has just become leader.
  /// False when another leads. An error when PostgreSQL cannot be asked; then this one does not
  /// lead.
  Result<bool> acquire();
  /// How often this instance became leader. Where it has changed, others may have led in between,
  /// and what they did outside PostgreSQL may still be under way.
  std::uint64_t term() const;
  /// Whether it led when last asked; a hint for metrics, not a permission.
  bool was_leader() const;
  /// Lets another take over at once.
  void release();

  /// As postgres::run_transaction(), on the session that holds the lock: kFailedPrecondition with
  /// reason "not_leader" when it is not held. A lost connection ends leadership.
  Result<> run_transaction(const TransactionOptions& options,
                           const std::function<Result<>(Transaction&)>& body);

  template <typename Body>
  auto transaction(const TransactionOptions& options, Body&& body)
      -> std::invoke_result_t<Body&, Transaction&> {
    using Outcome = std::invoke_result_t<Body&, Transaction&>;
    std::optional<Outcome> outcome;
    Result<> done = run_transaction(options, [&](Transaction& tx) -> Result<> {
      outcome.emplace(body(tx));
      if (!*outcome) return fail(outcome->error());
      return {};
    });
    if (!done) return fail(std::move(done).error());
    return *std::move(outcome);
  }

 private:
  void drop_session();

  Pool& pool_;
  const std::string name_;
  mutable std::mutex mutex_;
  std::unique_ptr<Connection> session_;  // open exactly while the lock is held
  std::uint64_t term_ = 0;
  std::unique_ptr<Connection> candidate_;  // kept for the next acquire() while another leads
};

}  // namespace sluice::postgres
