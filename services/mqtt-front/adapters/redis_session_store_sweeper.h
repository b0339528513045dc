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
/// what it may leave behind counts as kept.
///
/// One thread, which waits for Redis: in slices, each some round trips however many sessions it
/// looks after, so that whatever else is done on that thread gets its turn in between.
class SessionSweeper {
 public:
  using Records = std::vector<std::pair<std::uint64_t, std::string>>;
  struct Hooks {
    /// Given the record of a will. May wait.
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
  /// One slice; true: more wills are due already. What fails is found again, and so is what comes
  /// behind a list that cannot be read. `may_judge_fronts`: a lease that is missing says that its
  /// front is dead.
  Result<bool> sweep(bool may_judge_fronts);

 private:
  using Sessions = std::vector<std::string>;
  /// Of each of some sessions when it is to be looked at again, empty: never.
  using Looked = std::vector<Result<std::string>>;
  /// Looks after them together.
  using Look = std::function<Looked(const Sessions&)>;

  Result<bool> lock();
  /// True: there were as many as one slice takes.
  Result<bool> sweep_due(const std::string& list, std::size_t most, const Look& look);
  Looked look_for_wills(const Sessions& sessions, const std::string& dead_front);
  Looked look_for_ended(const Sessions& sessions);
  std::string hand_out_ended(const SessionKey& key, const redis::Reply& reply);
  Result<bool> sweep_fronts();
  Result<bool> sweep_front(const std::string& front);
  Result<> sweep_wills_of(const std::string& front, const std::string& list,
                          const Sessions& sessions);

  redis::Client& client_;
  const SweeperScripts scripts_{};
  const RedisKeys& keys_;
  const std::string front_;
  const std::chrono::milliseconds interval_;
  Hooks hooks_;
};

}  // namespace sluice::front
