#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <sluice/config/settings.h>

namespace sluice::front {

/// Where sessions are kept, and how much of them. How Redis is reached is redis::Config's.
struct SessionStoreConfig {
  std::string session_store;  // "memory" or "redis"

  std::int64_t max_sessions = 0;    // memory alone
  Bytes max_session_store_bytes{};  // memory alone
  std::int64_t max_queued = 0;      // messages of one session
  Bytes max_queued_bytes{};         // of one session
  // Of all tenants together, and, for one of them, 0: a quarter of that. So no tenant can take
  // everybody's room, and an operator who changes the whole need not remember the part.
  std::int64_t max_wide_subscriptions = 0;
  std::int64_t max_tenant_wide_subscriptions = 0;
  std::int64_t max_retained = 0;
  std::int64_t max_tenant_retained = 0;
  Bytes max_retained_bytes{};
  Bytes max_tenant_retained_bytes{};

  std::chrono::milliseconds front_lease{0};
  std::string session_outage;  // "keep" or "fence"
  std::chrono::milliseconds follow_interval{0};
  std::chrono::milliseconds will_interval{0};
  /// Before every key in Redis: several installations, or tests, share one server. Not a setting
  /// of operators yet, who have databases of their own.
  std::string key_prefix{};

  void declare(Settings& settings);
  bool keeps_in_outage() const { return session_outage == "keep"; }
  // What one tenant may have.
  std::uint64_t tenant_wide_subscriptions() const;
  std::uint64_t tenant_retained() const;
  std::uint64_t tenant_retained_bytes() const;
};

}  // namespace sluice::front
