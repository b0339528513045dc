#pragma once

#include "ports.h"

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <sluice/base/random.h>
#include <sluice/mqtt/retained_index.h>

namespace sluice::front {

/// The retained messages of every tenant, those of all fronts. Thread-safe.
class RetainedMessages {
 public:
  RetainedMessages(const mqtt::RetainedIndex::Limits& limits_per_tenant, Random& random)
      : limits_(limits_per_tenant), random_(random) {}

  /// False: no room. An empty payload forgets what was retained, [MQTT-3.3.1-6].
  bool put(std::string_view tenant, mqtt::MessagePtr message);
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

  const mqtt::RetainedIndex::Limits limits_;
  Random& random_;
  std::mutex mutex_;  // guards what follows
  std::unordered_map<std::string, std::unique_ptr<mqtt::RetainedIndex>> tenants_{};
};

/// What a store knows a retained message by: its tenant, which has no '/', and its topic.
std::string stored_name(std::string_view tenant, std::string_view topic);
struct StoredName {
  std::string_view tenant{};
  std::string_view topic{};
};
StoredName split_stored_name(std::string_view name);

}  // namespace sluice::front
