#pragma once

#include "adapters/redis_session_store_mirror.h"
#include "ports.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include <sluice/base/clock.h>

namespace sluice::front {

/// Calls of the listener, brought from many threads onto the one that makes them.
class ListenerCalls {
 public:
  using Call = std::move_only_function<void(SessionStoreListener&)>;

  /// Never waits: for the Redis client's thread. What comes this way is bounded by the sessions of
  /// this front and by the commands under way.
  void push(Call call);
  /// Waits while many are waiting: for the one thread that reads whole tables.
  void push_when_there_is_room(Call call);
  std::optional<Call> pop_for(std::chrono::milliseconds timeout);
  /// Nobody waits any more.
  void close();

 private:
  std::mutex mutex_{};
  std::condition_variable not_empty_{};
  std::condition_variable has_room_{};
  std::deque<Call> calls_{};
  bool is_closed_ = false;
};

/// The mirror of wide subscriptions.
class WideTable final : public RedisMirror {
 public:
  template <typename... Arguments>
  explicit WideTable(ListenerCalls& calls, Arguments&&... arguments)
      : RedisMirror(std::forward<Arguments>(arguments)...), calls_(calls) {}

  static std::string field_of(const SessionKey& key, std::string_view group,
                              std::string_view filter);
  /// With the epoch in which it was made, so that no two sessions of one name write the same.
  static std::string value_of(const StoredSubscription& subscription, Epoch epoch);
  /// Removes those of a session that was seen to be gone: these alone, not what a new session of
  /// its name may have put since. On the thread that polls.
  void remove_all_of(const SessionKey& key);

 private:
  void on_put(const std::string& field, const std::string& value) override;
  void on_removed(const std::string& field) override;
  std::vector<std::string> fields() const override;
  std::string value_of(const std::string& field) const override;

  ListenerCalls& calls_;
  std::map<std::string, std::string> known_{};
};

/// The mirror of retained messages. Shares each message with whoever it is handed to.
class RetainedTable final : public RedisMirror {
 public:
  template <typename... Arguments>
  RetainedTable(ListenerCalls& calls, const Clock& clock, SessionStoreMetrics metrics,
                Arguments&&... arguments)
      : RedisMirror(std::forward<Arguments>(arguments)...),
        calls_(calls),
        clock_(clock),
        damaged_(metrics.damaged) {}

 private:
  void on_put(const std::string& field, const std::string& value) override;
  void on_removed(const std::string& field) override;
  std::vector<std::string> fields() const override;
  std::string value_of(const std::string& field) const override;

  ListenerCalls& calls_;
  const Clock& clock_;
  Counter damaged_;
  std::map<std::string, mqtt::MessagePtr> known_{};  // shared with the listener's index
};

}  // namespace sluice::front
