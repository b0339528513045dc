#include <sluice/postgres/pool.h>

#include "conninfo.h"
#include "pool_impl.h"

#include <utility>

#include <sluice/base/check.h>

namespace sluice::postgres {

Result<std::unique_ptr<Pool>> Pool::open(Config config, Options options, const Clock& clock,
                                         Random& random, Registry& registry, Logger log) {
  using std::chrono::milliseconds;
  for (const milliseconds timeout : {config.connect_timeout, config.statement_timeout,
                                     config.lock_timeout, config.idle_in_transaction_timeout}) {
    if (timeout <= milliseconds(0)) {
      return fail(ErrorCode::kInvalidArgument, "a PostgreSQL pool needs all its time-outs");
    }
  }
  if (config.pool_size < 1) {
    return fail(ErrorCode::kInvalidArgument, "a PostgreSQL pool needs at least one connection");
  }
  auto conninfo = make_conninfo(config, options.application_name);
  if (!conninfo) return fail(std::move(conninfo).error().context("postgres_url"));
  return std::unique_ptr<Pool>(new Pool(
      std::make_unique<PoolImpl>(std::move(config), std::move(options), *std::move(conninfo), clock,
                                 random, registry, std::move(log))));
}

Pool::Pool(std::unique_ptr<PoolImpl> impl) : impl_(std::move(impl)) {}

Pool::~Pool() {
  close();
  SLUICE_CHECK(in_use() == 0);  // somebody would go on with what is about to be freed
}

Result<> Pool::ping() {
  const MonoTime now = impl_->clock.mono();
  const MonoTime deadline = now + impl_->config.connect_timeout;
  Result<> answer;
  // An idle connection may have died unnoticed; then a new one decides.
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto lease = Lease::take(*impl_, now, deadline);
    if (!lease) {
      // All are at work: if they were dead, their deadlines would end that.
      if (lease.error().code() == ErrorCode::kResourceExhausted) return {};
      return fail(std::move(lease).error());
    }
    (*lease)->set_deadline(deadline);
    answer = (*lease)->check();
    if (answer) return {};
    impl_->drop_idle();
  }
  return fail(Error(ErrorCode::kUnavailable, answer.error().message()));
}

std::size_t Pool::in_use() const { return impl_->in_use(); }

void Pool::close() { impl_->close(); }

PoolImpl& impl_of(Pool& pool) { return *pool.impl_; }

}  // namespace sluice::postgres
