#include "adapters/databases.h"

#include <algorithm>
#include <utility>

namespace sluice::registry {
namespace {

/// The same server within narrower bounds.
postgres::Config narrowed(postgres::Config config, std::int64_t connections,
                          std::chrono::milliseconds timeout) {
  config.pool_size = connections;
  config.statement_timeout = std::min(config.statement_timeout, timeout);
  config.lock_timeout = std::min(config.lock_timeout, config.statement_timeout);
  return config;
}

}  // namespace

Result<std::unique_ptr<Databases>> Databases::open(const Options& options, const Clock& clock,
                                                   Random& random, Registry& registry,
                                                   const Logger& log) {
  const auto open_pool = [&](postgres::Config config, const char* purpose) {
    return postgres::Pool::open(
        std::move(config),
        {.schema = kSchema, .application_name = options.application_name + purpose}, clock, random,
        registry, log);
  };
  SLUICE_TRY_ASSIGN(PoolPtr pool, open_pool(options.postgres, ""));
  SLUICE_TRY_ASSIGN(PoolPtr door, open_pool(narrowed(options.postgres, options.door_connections,
                                                     options.door_timeout),
                                            "-door"));
  SLUICE_TRY_ASSIGN(PoolPtr search, open_pool(narrowed(options.postgres, options.search_connections,
                                                       options.search_timeout),
                                              "-search"));
  SLUICE_TRY(migrate_schema(*pool));
  return std::unique_ptr<Databases>(new Databases(std::move(pool), std::move(door),
                                                  std::move(search),
                                                  static_cast<std::size_t>(options.max_searches)));
}

Databases::Databases(PoolPtr pool, PoolPtr door, PoolPtr search, std::size_t max_searches)
    : pool_(std::move(pool)),
      door_(std::move(door)),
      search_(std::move(search)),
      store_(*pool_),
      door_store_(*door_),
      search_store_(*search_),
      max_searches_(max_searches) {}

Result<> Databases::ping() {
  for (const PoolPtr* each : {&pool_, &door_, &search_}) SLUICE_TRY((*each)->ping());
  return {};
}

}  // namespace sluice::registry
