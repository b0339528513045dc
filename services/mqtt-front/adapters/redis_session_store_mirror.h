#pragma once

#include "adapters/redis_session_store_mirror_scripts.h"
#include "adapters/session_store_metrics.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
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
/// What each tenant has is counted in Redis, in the step that changes it. Data that nobody counted,
/// of an earlier release or changed by a front of one, is counted by whoever follows.
///
/// put() and remove() from any thread; poll() on one, which waits for Redis and calls the on_…().
class RedisMirror {
 public:
  struct Bound {
    std::uint64_t limit = 0;
    std::string setting{};
  };
  struct Bounds {
    Bound tenant_entries{};
    Bound tenant_bytes{};
    Bound entries{};  // of all tenants
    Bound bytes{};
  };
  RedisMirror(redis::Client& client, const MirrorScripts& scripts, SessionStoreMetrics metrics,
              Logger log, std::vector<std::string> keys, Bounds bounds);
  virtual ~RedisMirror() = default;
  RedisMirror(const RedisMirror&) = delete;
  RedisMirror& operator=(const RedisMirror&) = delete;

  Result<> poll();
  bool is_loaded() const { return is_loaded_.load(); }

 protected:
  /// Which state of the table something is of. Versions rise within a generation.
  struct Version {
    std::string generation{};
    std::uint64_t number = 0;
  };
  /// What a change needs beyond its field.
  struct Condition {
    bool only_if_absent = false;
    bool unless_changed_since_followed = false;  // for the thread that polls
  };
  void put(std::string field, std::string value, redis::Client::Callback done) const;
  Result<redis::Reply> call_put(std::string field, std::string value,
                                const Condition& condition) const;
  /// Only while it has the value, unless that is empty.
  void remove(std::string field, std::string value, redis::Client::Callback done) const;
  Result<redis::Reply> call_remove(std::string field, const Condition& condition) const;
  /// What a put or a remove answered; nullopt: it changed nothing.
  static std::optional<Version> version_of(const redis::Reply& reply);

  // On the thread that polls.
  /// The field has this value as of that version of the present generation, and maybe longer.
  virtual void on_put(const std::string& field, const std::string& value, std::uint64_t as_of) = 0;
  virtual void on_removed(const std::string& field, std::uint64_t as_of) = 0;
  /// A generation begins: versions start anew.
  virtual void on_generation(const std::string&) {}
  /// All changes up to that version were told.
  virtual void on_followed(std::uint64_t) {}
  /// Nothing is new. Redis answers.
  virtual Result<> on_caught_up() { return {}; }
  bool is_loading() const { return is_loading_; }

  /// Every field that was put and not removed.
  virtual std::vector<std::string> fields() const = 0;
  /// Its value as of now.
  virtual std::string value_of(const std::string& field) const = 0;
  /// Every field that Redis has, with the size of its value there.
  using Visit = std::function<void(const std::string& field, std::size_t value_size)>;
  virtual void for_each(const Visit& visit) const = 0;
  virtual std::string_view tenant_of(std::string_view field) const = 0;

 private:
  Result<> load();
  Result<> put_back();
  Result<> count_tenants();
  std::vector<std::string> put_arguments(std::string field, std::string value,
                                         const Condition& condition) const;
  std::vector<std::string> remove_arguments(std::string field, std::string value,
                                            const Condition& condition) const;
  void append_condition(const Condition& condition, std::vector<std::string>& arguments) const;

  redis::Client& client_;
  const MirrorScripts& scripts_;
  SessionStoreMetrics metrics_;
  Logger log_;
  const std::vector<std::string> keys_;
  const Bounds bounds_;
  std::string generation_{};
  std::uint64_t version_ = 0;
  int polls_until_count_ = 0;
  bool is_loading_ = false;
  std::atomic<bool> is_loaded_ = false;
};

}  // namespace sluice::front
