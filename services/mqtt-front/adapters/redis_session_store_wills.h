#pragma once

#include "adapters/redis_session_store_keys.h"
#include "adapters/redis_session_store_scripts.h"
#include "ports.h"

#include <chrono>
#include <functional>
#include <string>

#include <sluice/redis/client.h>

namespace sluice::front {

/// Looks for wills whose delay is over and for fronts that died, one front of the installation at a
/// time. Lists are only hints where to look: the will itself lies beside its session, and is taken
/// from there by one script, so that it is handed out once whoever looks. One thread, which waits
/// for Redis.
class WillSweeper {
 public:
  /// Given the record of a will.
  using OnDue = std::move_only_function<void(const SessionKey&, const std::string&)>;

  WillSweeper(redis::Client& client, const SessionScripts& scripts, const RedisKeys& keys,
              std::string front, std::chrono::milliseconds interval, OnDue on_due);
  /// Stops at the first failure; what is left is found again.
  Result<> sweep();

 private:
  Result<> sweep_due();
  Result<> sweep_fronts();
  Result<> sweep_front(const std::string& front);
  /// When it is due, if that is later; 0: it was handed out, or there is none.
  Result<std::string> take(const std::string& session, const std::string& dead_front);

  redis::Client& client_;
  const SessionScripts& scripts_;
  const RedisKeys& keys_;
  const std::string front_;
  const std::chrono::milliseconds interval_;
  OnDue on_due_;
};

}  // namespace sluice::front
