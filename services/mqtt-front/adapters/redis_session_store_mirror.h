#pragma once

#include "adapters/redis_session_store_scripts.h"
#include "adapters/session_store_metrics.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/log/logger.h>
#include <sluice/redis/client.h>

namespace sluice::front {

/// A table in Redis that every front has a copy of: read in whole once, in bounded steps, then
/// followed through a log of which fields changed. Where the log does not reach back far enough it
/// is read again; where Redis has lost it every front puts its copy back first.
///
/// put() and remove() from any thread; poll() on one, which waits for Redis and calls the on_…().
class RedisMirror {
 public:
  struct Bounds {
    std::int64_t max_entries = 0;
    std::uint64_t max_bytes = 0;
    std::string entries_setting{};
    std::string bytes_setting{};
  };
  RedisMirror(redis::Client& client, const SessionScripts& scripts, SessionStoreMetrics metrics,
              Logger log, std::vector<std::string> keys, Bounds bounds);
  virtual ~RedisMirror() = default;
  RedisMirror(const RedisMirror&) = delete;
  RedisMirror& operator=(const RedisMirror&) = delete;

  void put(std::string field, std::string value, redis::Client::Callback done) const;
  /// Only while it has the value, unless that is empty.
  void remove(std::string field, std::string value, redis::Client::Callback done) const;

  Result<> poll();
  bool is_loaded() const { return is_loaded_.load(); }

 protected:
  virtual void on_put(const std::string& field, const std::string& value) = 0;
  virtual void on_removed(const std::string& field) = 0;
  /// Every field that was put and not removed.
  virtual std::vector<std::string> fields() const = 0;
  /// Its value as of now.
  virtual std::string value_of(const std::string& field) const = 0;

 private:
  Result<> load();
  Result<> put_back();
  void run_put(std::string field, std::string value, bool only_if_absent,
               redis::Client::Callback done) const;

  redis::Client& client_;
  const SessionScripts& scripts_;
  SessionStoreMetrics metrics_;
  Logger log_;
  const std::vector<std::string> keys_;
  const Bounds bounds_;
  std::string generation_{};
  std::string version_ = "0";
  std::atomic<bool> is_loaded_ = false;
};

}  // namespace sluice::front
