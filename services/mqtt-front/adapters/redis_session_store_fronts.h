#pragma once

#include "adapters/redis_session_store_keys.h"
#include "adapters/redis_session_store_lease.h"

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/redis/client.h>

namespace sluice::front {

/// Which other fronts live, and where their gRPC doors are. Thread-safe.
class FrontDirectory {
 public:
  FrontDirectory(redis::Client& client, const RedisKeys& keys, const Clock& clock,
                 const FrontLease& own, std::chrono::milliseconds lease);

  /// The address of a front that lives; nullopt: it is dead. Errors are those of Redis.
  using Found = std::move_only_function<void(Result<std::optional<std::string>>)>;
  void find(const std::string& front, Found done);

 private:
  struct Known {
    std::string address{};
    MonoTime until{};
  };

  std::optional<std::string> known(const std::string& front, MonoTime now);
  void remember(const std::string& front, std::string address, MonoTime now);
  void find_silent(const std::string& front, Found done);

  redis::Client& client_;
  const RedisKeys& keys_;
  const Clock& clock_;
  const FrontLease& own_;
  const std::chrono::milliseconds lease_;
  std::mutex mutex_{};  // guards what follows
  std::unordered_map<std::string, Known> known_{};
};

}  // namespace sluice::front
