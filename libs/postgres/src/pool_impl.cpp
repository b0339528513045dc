#include "pool_impl.h"

#include <algorithm>
#include <format>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/postgres/statement.h>

namespace sluice::postgres {
namespace {

using std::chrono::milliseconds;

// A restart takes about a second, a failover some; two seconds at most are added to either.
constexpr Backoff::Policy kProbe{.base = milliseconds(50), .cap = milliseconds(2000)};
// Conflicts end as soon as the other transaction does.
constexpr Backoff::Policy kRepeat{.base = milliseconds(5), .cap = milliseconds(500)};

/// What every session begins with: the forms that rows.cpp reads, and the limits of the settings.
/// The server notices a client that vanished within 10 + 3 * 5 seconds and gives its locks to
/// others.
std::string setup_sql(const Config& config, const std::string& schema) {
  std::string sql = std::format(
      "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET bytea_output = 'hex'; SET "
      "extra_float_digits = 1; "
      "SET client_min_messages = 'warning'; SET standard_conforming_strings = on; "
      "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout "
      "= {}; "
      "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3",
      config.statement_timeout.count(), config.lock_timeout.count(),
      config.idle_in_transaction_timeout.count());
  if (!schema.empty())
    sql += std::format("; SET search_path = {}, public", quote_identifier(schema));
  return sql;
}

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

PoolMetrics::PoolMetrics(Registry& registry)
    : up(registry.gauge("sluice_postgres_up",
                        "1 while PostgreSQL can be reached, 0 while it is down.")),
      in_use(
          registry.gauge("sluice_postgres_connections_in_use", "Connections of the pool in use.")),
      connected(registry.counter("sluice_postgres_connects_total",
                                 "Attempts to connect to PostgreSQL.", {{"outcome", "connected"}})),
      connect_failed(registry.counter("sluice_postgres_connects_total",
                                      "Attempts to connect to PostgreSQL.",
                                      {{"outcome", "failed"}})),
      exhausted(registry.counter("sluice_postgres_pool_exhausted_total",
                                 "Callers who got no connection in time since all were in use.")),
      wait_seconds(registry.histogram("sluice_postgres_pool_wait_seconds",
                                      "Time until a connection was there, connecting included.",
                                      latency_buckets_seconds())),
      transaction_seconds(registry.histogram(
          "sluice_postgres_transaction_seconds",
          "Time of a transaction, waiting and all attempts included.", latency_buckets_seconds())),
      committed(registry.counter("sluice_postgres_transactions_total",
                                 "Transactions by how they ended.", {{"outcome", "committed"}})),
      rolled_back(registry.counter("sluice_postgres_transactions_total",
                                   "Transactions by how they ended.",
                                   {{"outcome", "rolled_back"}})),
      unknown(registry.counter("sluice_postgres_transactions_total",
                               "Transactions by how they ended.", {{"outcome", "unknown"}})),
      repeated_conflicts(registry.counter("sluice_postgres_repeated_attempts_total",
                                          "Attempts of transactions that were repeated, by why.",
                                          {{"cause", "conflict"}})),
      repeated_connections(registry.counter("sluice_postgres_repeated_attempts_total",
                                            "Attempts of transactions that were repeated, by why.",
                                            {{"cause", "dead_connection"}})) {}

PoolImpl::PoolImpl(Config with_config, Pool::Options with_options, Secret conninfo,
                   const Clock& with_clock, Random& random, Registry& with_registry,
                   Logger with_log)
    : config(std::move(with_config)),
      options(std::move(with_options)),
      clock(with_clock),
      registry(with_registry),
      log(std::move(with_log)),
      metrics(with_registry),
      conninfo_(std::move(conninfo)),
      setup_(setup_sql(config, options.schema)),
      random_(random),
      probe_backoff_(kProbe, random) {}

Result<std::unique_ptr<Connection>> PoolImpl::connect(MonoTime deadline) {
  bool is_probe = false;
  {
    std::lock_guard lock(mutex_);
    if (is_closed_) return fail(closed_error());
    if (down_because_) {
      if (is_probing_ || clock.mono() < next_probe_) return fail(*down_because_);
      is_probe = is_probing_ = true;
    }
  }
  const MonoTime own_deadline = clock.mono() + config.connect_timeout;
  auto opened =
      Connection::open(conninfo_.reveal(), setup_, clock, std::min(deadline, own_deadline));
  if (!opened && deadline < own_deadline && clock.mono() >= deadline) {
    // This caller's time was too short to tell: PostgreSQL is not down for all because of that.
    if (is_probe) {
      std::lock_guard lock(mutex_);
      is_probing_ = false;
    }
    return fail(ErrorCode::kDeadlineExceeded, "connect to PostgreSQL: no answer in time");
  }
  note_connect(opened, is_probe);
  return opened;
}

void PoolImpl::note_connect(const Result<std::unique_ptr<Connection>>& opened, bool is_probe) {
  std::unique_lock lock(mutex_);
  if (is_probe) is_probing_ = false;
  const bool was_down = down_because_.has_value();
  if (opened) {
    down_because_.reset();
    probe_backoff_.reset();
  } else if (is_probe || !was_down) {
    down_because_ = opened.error();
    next_probe_ = clock.mono() + probe_backoff_.next();
  }
  metrics.up.set(down_because_ ? 0 : 1);  // under the lock, or an older answer could be the last
  lock.unlock();
  (opened ? metrics.connected : metrics.connect_failed).add();
  if (opened && was_down) log.info("postgres_up");
  if (!opened && !was_down) log.warning("postgres_down", opened.error());
}

Result<std::unique_ptr<Connection>> PoolImpl::acquire(MonoTime wait_until, MonoTime deadline) {
  const MonoTime started = clock.mono();
  std::unique_lock lock(mutex_);
  for (;;) {
    if (is_closed_) return fail(closed_error());
    // With none idle, those in use are all there are.
    if (!idle_.empty() || in_use_ < static_cast<std::size_t>(config.pool_size)) break;
    const auto left = wait_until - clock.mono();
    if (left.count() <= 0) {
      metrics.exhausted.add();
      return fail(
          Error(ErrorCode::kResourceExhausted,
                std::format("all {} connections to PostgreSQL are in use (postgres_pool_size)",
                            config.pool_size))
              .with_reason("postgres_pool_size"));
    }
    freed_.wait_for(lock, left);
  }
  take_one();
  if (!idle_.empty()) {
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    lock.unlock();
    metrics.wait_seconds.observe(seconds(clock.mono() - started));
    return connection;
  }
  lock.unlock();
  auto opened = connect(deadline);
  metrics.wait_seconds.observe(seconds(clock.mono() - started));
  if (!opened) {
    lock.lock();
    put_one_back();
  }
  return opened;
}

void PoolImpl::give_back(std::unique_ptr<Connection> connection) {
  std::lock_guard lock(mutex_);
  if (connection->is_usable() && !is_closed_) idle_.push_back(std::move(connection));
  put_one_back();
}

void PoolImpl::take_one() {
  ++in_use_;
  metrics.in_use.add(1);  // not set(): the pools of a process share the series
}

void PoolImpl::put_one_back() {
  --in_use_;
  metrics.in_use.add(-1);
  freed_.notify_one();
}

void PoolImpl::drop_idle() {
  std::vector<std::unique_ptr<Connection>> dropped;
  std::lock_guard lock(mutex_);
  dropped.swap(idle_);
}

std::size_t PoolImpl::in_use() const {
  std::lock_guard lock(mutex_);
  return in_use_;
}

void PoolImpl::close() {
  {
    std::lock_guard lock(mutex_);
    is_closed_ = true;
    idle_.clear();
  }
  freed_.notify_all();
  closing_.notify_all();
}

Error PoolImpl::closed_error() const {
  return Error(ErrorCode::kUnavailable, "the PostgreSQL pool is closed: the service is stopping");
}

bool PoolImpl::pause(int attempt, MonoTime deadline) {
  std::unique_lock lock(mutex_);
  Backoff backoff(kRepeat, random_);
  milliseconds wait{0};
  for (int i = 0; i < attempt; ++i)
    wait = backoff.next();  // the attempt's own window; the others are skipped
  if (clock.mono() + wait >= deadline) return false;
  closing_.wait_for(lock, wait, [&] { return is_closed_; });
  return !is_closed_;
}

Result<> PoolImpl::run_attempts(const TransactionOptions& transaction, const Attempt& attempt) {
  const MonoTime started = clock.mono();
  const MonoTime deadline =
      started + (transaction.timeout.count() > 0 ? transaction.timeout : config.statement_timeout);
  Result<> result;
  for (int number = 1;; ++number) {
    auto outcome = attempt(deadline);
    result = outcome ? std::move(outcome->result) : fail(std::move(outcome).error());
    if (result || !outcome) break;
    if (outcome->was_dead_at_begin) drop_idle();
    const bool can_be_repeated = outcome->can_be_repeated || outcome->was_dead_at_begin;
    if (!can_be_repeated || number >= transaction.max_attempts) break;
    // A new connection is no reason to wait: whether there is one is told at once.
    if (outcome->can_be_repeated && !pause(number, deadline)) break;
    (outcome->was_dead_at_begin ? metrics.repeated_connections : metrics.repeated_conflicts).add();
  }
  metrics.transaction_seconds.observe(seconds(clock.mono() - started));
  const bool is_unknown = !result && result.error().reason() == "outcome_unknown";
  (result ? metrics.committed : is_unknown ? metrics.unknown : metrics.rolled_back).add();
  return result;
}

}  // namespace sluice::postgres
