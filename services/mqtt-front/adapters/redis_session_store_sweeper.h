#pragma once

#include "adapters/redis_session_store_keys.h"
#include "adapters/redis_session_store_sweeper_scripts.h"
#include "ports.h"

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <sluice/redis/client.h>

namespace sluice::front {

/// Looks for what sessions left behind that no front holds any more: wills whose delay is over, or
/// whose front died; messages of shared subscriptions, and subscriptions that all fronts know, of
/// sessions that ended. One front of the installation at a time.
///
/// Lists are only hints where to look and when: what is handed out lies beside its session, and one
/// script takes it there, so that it is handed out once whoever looks. A session is listed before
/// what it may leave behind counts as kept. One thread, which waits for Redis.
class SessionSweeper {
 public:
  using Records = std::vector<std::pair<std::uint64_t, std::string>>;
  struct Hooks {
    /// Given the record of a will.
    std::move_only_function<void(const SessionKey&, const std::string&)> on_will_due{};
    /// Given the records of deliveries by what names them, in order. May wait. They stay with the
    /// session until each is settled, but for those of QoS 2: a front that dies with them loses
    /// them instead of giving them twice.
    std::move_only_function<void(const SessionKey&, const Records&)> on_ended{};
    /// There is no such session, and nothing of it left to give on.
    std::move_only_function<void(const SessionKey&)> on_gone{};
  };

  SessionSweeper(redis::Client& client, const RedisKeys& keys, std::string front,
                 std::chrono::milliseconds interval, Hooks hooks);
  /// Stops at the first failure; what is left is found again. `may_judge_fronts`: a lease that is
  /// missing says that its front is dead.
  Result<> sweep(bool may_judge_fronts);

 private:
  /// Looks after one session; answers when it is to be looked at again, empty: never.
  using Look = std::function<Result<std::string>(const SessionKey&)>;

  Result<bool> lock();
  Result<> sweep_due(const std::string& list, int most, const Look& look);
  Result<std::string> look_for_will(const SessionKey& key, const std::string& dead_front);
  Result<std::string> look_for_ended(const SessionKey& key);
  Result<> sweep_fronts();
  Result<> sweep_front(const std::string& front);

  redis::Client& client_;
  const SweeperScripts scripts_{};
  const RedisKeys& keys_;
  const std::string front_;
  const std::chrono::milliseconds interval_;
  Hooks hooks_;
};

}  // namespace sluice::front
