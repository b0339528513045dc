#pragma once

#include "adapters/redis_session_store_keys.h"
#include "adapters/redis_session_store_scripts.h"
#include "ports.h"

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <sluice/redis/client.h>

namespace sluice::front {

/// Looks for sessions that ended and left something behind: messages of shared subscriptions, or
/// subscriptions that all fronts know. One front of the installation at a time. A session is listed
/// before the first of these counts as kept, and stays listed while it lives: the list is only a
/// hint where to look. Messages stay with the session until each is settled, but for those of QoS
/// 2, which are taken when they are handed out: a front that dies then loses them instead of giving
/// them twice. One thread, which waits for Redis.
class EndedSweeper {
 public:
  using Records = std::vector<std::pair<std::uint64_t, std::string>>;
  struct Hooks {
    /// Given the records of deliveries by what names them, in order. May wait.
    std::move_only_function<void(const SessionKey&, const Records&)> on_ended{};
    /// There is no such session, and nothing of it left to give on.
    std::move_only_function<void(const SessionKey&)> on_gone{};
  };

  EndedSweeper(redis::Client& client, const SessionScripts& scripts, const RedisKeys& keys,
               std::string front, std::chrono::milliseconds interval, Hooks hooks);
  /// Stops at the first failure; what is left is found again.
  Result<> sweep();

 private:
  /// When it is to be looked at again; empty: never.
  Result<std::string> take(const SessionKey& key);

  redis::Client& client_;
  const SessionScripts& scripts_;
  const RedisKeys& keys_;
  const std::string front_;
  const std::chrono::milliseconds interval_;
  Hooks hooks_;
};

}  // namespace sluice::front
