#pragma once

#include "adapters/redis_session_store_mirror.h"
#include "adapters/session_store_config.h"
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

  using RedisMirror::put;
  using RedisMirror::remove;

  static Bounds bounds(const SessionStoreConfig& config);
  static std::string field_of(const SessionKey& key, std::string_view group,
                              std::string_view filter);
  /// With the epoch in which it was made, so that no two sessions of one name write the same.
  static std::string value_of(const StoredSubscription& subscription, Epoch epoch);
  /// Removes those of a session that was seen to be gone: these alone, not what a new session of
  /// its name may have put since. On the thread that polls.
  void remove_all_of(const SessionKey& key);

 private:
  void on_put(const std::string& field, const std::string& value, std::uint64_t as_of) override;
  void on_removed(const std::string& field, std::uint64_t as_of) override;
  std::vector<std::string> fields() const override;
  std::string value_of(const std::string& field) const override;
  void for_each(const Visit& visit) const override;
  std::string_view tenant_of(std::string_view field) const override;

  ListenerCalls& calls_;
  std::map<std::string, std::string> known_{};
};

/// Which is newer of what a front hears of one field: the answer to its own write, or the log,
/// which may be behind it or ahead. Told in this order, every front ends with what Redis has.
class ToldInOrder {
 public:
  /// Versions start anew.
  void begin(const std::string& generation);
  /// Whether the listener is to hear of an own write.
  bool takes_own(const std::string& field, const std::string& generation, std::uint64_t version);
  /// Whether the listener is to hear of what the log says that a field is, as of that version.
  bool takes_followed(const std::string& field, std::uint64_t as_of) const;
  /// The log was told up to that version.
  void followed(std::uint64_t version);

 private:
  std::string generation_{};
  std::uint64_t followed_ = 0;
  std::map<std::string, std::uint64_t> own_{};  // told, and newer than followed_
};

/// The mirror of retained messages. Shares each message with whoever it is handed to.
///
/// A write is answered once the listener has heard of it. One that is to be tried again while Redis
/// is away is held here, and put by whoever polls when Redis is back, unless another front has
/// changed the topic since; the last one of a topic alone, and up to a bound.
class RetainedTable final : public RedisMirror {
 public:
  using WhenAway = SessionStore::WhenAway;
  static Bounds bounds(const SessionStoreConfig& config);
  template <typename... Arguments>
  RetainedTable(ListenerCalls& calls, const Clock& clock, SessionStoreMetrics metrics,
                Arguments&&... arguments)
      : RedisMirror(std::forward<Arguments>(arguments)...),
        calls_(calls),
        clock_(clock),
        metrics_(metrics) {}

  /// An error of Redis' own is passed on as it is.
  void put(const mqtt::MessagePtr& message, WhenAway when_away, Done<void> done);
  void remove(const std::string& topic, WhenAway when_away, Done<void> done);

 private:
  struct Known {
    mqtt::MessagePtr message{};  // shared with the listener's index; null: expired or unreadable
    std::size_t size = 0;        // of its value in Redis
    std::size_t hash = 0;        // of the same
  };
  /// A write that waits for Redis; null: removes what is retained.
  using Held = mqtt::MessagePtr;

  void on_put(const std::string& field, const std::string& value, std::uint64_t as_of) override;
  void on_removed(const std::string& field, std::uint64_t as_of) override;
  void on_generation(const std::string& generation) override;
  void on_followed(std::uint64_t version) override;
  Result<> on_caught_up() override;
  std::vector<std::string> fields() const override;
  std::string value_of(const std::string& field) const override;
  void for_each(const Visit& visit) const override;
  std::string_view tenant_of(std::string_view field) const override;

  void on_written(const std::string& topic, const Held& written, WhenAway when_away,
                  Result<redis::Reply> reply, Done<void> done);
  void tell_own(const std::string& topic, const mqtt::MessagePtr& message,
                const redis::Reply& reply, Done<void> done);
  void tell_followed(const std::string& field, mqtt::MessagePtr message, std::uint64_t as_of);

  bool hold(const std::string& topic, const Held& held);
  /// Unless another one is held by now.
  void drop_held(const std::string& topic, const Held* held = nullptr);
  /// Writes some of what is held; one that cannot be written for good is given up and counted.
  Result<> write_held();
  /// Looks at some and removes those that have expired, which would take up the room of others.
  Result<> remove_expired();

  ListenerCalls& calls_;
  const Clock& clock_;
  SessionStoreMetrics metrics_;
  std::map<std::string, Known> known_{};
  std::string looked_at_{};  // last by remove_expired()
  ToldInOrder told_{};       // of the thread that calls the listener

  std::mutex held_mutex_{};  // guards what follows
  std::map<std::string, Held> held_{};
  std::size_t held_bytes_ = 0;
};

}  // namespace sluice::front
