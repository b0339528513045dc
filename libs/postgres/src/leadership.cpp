#include <sluice/postgres/leadership.h>

#include "advisory_key.h"
#include "connection.h"
#include "pool_impl.h"

#include <utility>

namespace sluice::postgres {
namespace {

void show(PoolImpl& impl, const std::string& name, bool leads) {
  impl.registry.gauge("sluice_postgres_leader", "1 while this instance leads.", {{"name", name}})
      .set(leads ? 1 : 0);
}

}  // namespace

Leadership::Leadership(Pool& pool, std::string_view name) : pool_(pool), name_(name) {
  show(impl_of(pool_), name_, false);
}

Leadership::~Leadership() { release(); }

Result<bool> Leadership::acquire() {
  PoolImpl& impl = impl_of(pool_);
  std::lock_guard lock(mutex_);
  const MonoTime deadline = impl.clock.mono() + impl.config.connect_timeout;
  if (session_) {
    session_->set_deadline(deadline);
    if (session_->is_usable() && session_->check()) return true;
    drop_session();
  }
  // Whoever waits keeps its session: a new one for each question would be a process of the server
  // each, many times a second.
  auto session = std::move(candidate_);
  if (session) session->set_deadline(deadline);
  if (!session || !session->is_usable()) {
    SLUICE_TRY_ASSIGN(session, impl.connect(deadline));
  }
  const Param key = advisory_key("leadership", name_);
  SLUICE_TRY_ASSIGN(const Rows rows, session->query("SELECT pg_try_advisory_lock($1)", {&key, 1},
                                                    Connection::Preparation::kNever));
  if (!rows.one().get<bool>(0)) {
    candidate_ = std::move(session);
    return false;
  }
  session_ = std::move(session);
  ++term_;
  show(impl, name_, true);
  impl.log.info("leadership_gained", {{"name", name_}});
  return true;
}

std::uint64_t Leadership::term() const {
  std::lock_guard lock(mutex_);
  return term_;
}

bool Leadership::was_leader() const {
  std::lock_guard lock(mutex_);
  return session_ != nullptr;
}

void Leadership::release() {
  PoolImpl& impl = impl_of(pool_);
  std::lock_guard lock(mutex_);
  candidate_.reset();
  if (!session_) return;
  // The end of the session gives the lock back too, but a moment after we have gone on.
  session_->set_deadline(impl.clock.mono() + impl.config.connect_timeout);
  if (session_->is_usable())
    static_cast<void>(session_->run_script("SELECT pg_advisory_unlock_all()"));
  drop_session();
}

void Leadership::drop_session() {
  PoolImpl& impl = impl_of(pool_);
  session_.reset();
  show(impl, name_, false);
  impl.log.info("leadership_lost", {{"name", name_}});
}

Result<> Leadership::run_transaction(const TransactionOptions& options,
                                     const std::function<Result<>(Transaction&)>& body) {
  PoolImpl& impl = impl_of(pool_);
  std::lock_guard lock(mutex_);
  return impl.run_attempts(options, [&](MonoTime deadline) -> Result<Connection::Outcome> {
    if (!session_) {
      return fail(Error(ErrorCode::kFailedPrecondition, "this instance does not lead " + name_)
                      .with_reason("not_leader"));
    }
    auto outcome = session_->run_transaction(options, deadline, impl.config.connect_timeout, body);
    if (!session_->is_usable()) {
      drop_session();
      // A new session would not hold the lock, so that there is nothing to repeat this on.
      outcome.can_be_repeated = false;
      outcome.was_dead_at_begin = false;
    }
    return outcome;
  });
}

}  // namespace sluice::postgres
