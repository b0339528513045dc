#pragma once

#include "ports.h"

#include <cstddef>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <sluice/base/random.h>
#include <sluice/mqtt/retained_index.h>

namespace sluice::front {

// The bounds of what is retained, by the settings that name them: what a refusal says, here and in
// every store.
inline constexpr std::string_view kRetainedMessages = "retained_max_messages";
inline constexpr std::string_view kRetainedBytes = "retained_max_bytes";
inline constexpr std::string_view kTenantRetainedMessages = "retained_max_messages_per_tenant";
inline constexpr std::string_view kTenantRetainedBytes = "retained_max_bytes_per_tenant";
/// What a client is told when the store could not be reached.
inline constexpr std::string_view kRetainedNotStored = "retained_not_stored";
/// Why a message is not retained: one of these bounds, or kRetainedNotStored.
std::string_view retained_refusal(const Error& error);

/// The retained messages of every tenant, those of all fronts. Thread-safe.
class RetainedMessages {
 public:
  struct Limits {
    std::size_t max_messages = 1'000'000;  // of all tenants together
    std::size_t max_bytes = std::size_t{1} << 30;
    std::size_t max_messages_per_tenant = std::numeric_limits<std::size_t>::max();
    std::size_t max_bytes_per_tenant = std::numeric_limits<std::size_t>::max();
    mqtt::TopicLimits topics{};
  };
  RetainedMessages(const Limits& limits, Random& random) : limits_(limits), random_(random) {}

  /// The setting whose bound keeps the message out; empty: there is room. A message that is no
  /// larger than the one that it replaces, or that forgets it, always finds room.
  std::string_view bound_reached(std::string_view tenant, const mqtt::Message& message);
  /// The same, and keeps it where there is room. An empty payload forgets what was retained,
  /// [MQTT-3.3.1-6].
  std::string_view put(std::string_view tenant, mqtt::MessagePtr message);
  /// What the store of all fronts has, which keeps the bounds: never refused, since a front without
  /// it would be the only one.
  void learn(std::string_view tenant, mqtt::MessagePtr message);
  void remove(std::string_view tenant, std::string_view topic);

  /// Those that match and have not expired, at most `limit`. Nothing is looked at beyond a bound of
  /// steps, so that a filter over everything cannot hold the others up for long.
  std::vector<mqtt::MessagePtr> find(std::string_view tenant, std::string_view filter, MonoTime now,
                                     std::size_t limit);
  /// Looks at some messages of each tenant and removes those that have expired.
  std::size_t sweep(MonoTime now, std::size_t steps);
  void clear();
  std::size_t size();

 private:
  mqtt::RetainedIndex& of(std::string_view tenant);
  std::string_view bound_reached(const mqtt::RetainedIndex& index, std::string_view tenant,
                                 const mqtt::Message& message) const;
  void set(mqtt::RetainedIndex& index, std::string_view tenant, mqtt::MessagePtr message);
  /// Does it to the index and keeps the sums of all tenants.
  template <typename Change>
  void change(mqtt::RetainedIndex& index, Change change);

  const Limits limits_;
  Random& random_;
  std::mutex mutex_;  // guards what follows
  std::unordered_map<std::string, std::unique_ptr<mqtt::RetainedIndex>> tenants_{};
  std::size_t messages_ = 0;
  std::size_t bytes_ = 0;
};

/// What a message counts for in bounds on bytes: about what it takes in a store, where its topic is
/// there twice, and never more, so that a front refuses nothing that the store has room for.
std::size_t retained_bytes(std::string_view tenant, const mqtt::Message& message);
/// The same of one whose topic is its stored_name().
std::size_t retained_bytes(const mqtt::Message& stored);

/// What a store knows a retained message by: its tenant, which has no '/', and its topic.
std::string stored_name(std::string_view tenant, std::string_view topic);
struct StoredName {
  std::string_view tenant{};
  std::string_view topic{};
};
StoredName split_stored_name(std::string_view name);

}  // namespace sluice::front
