#pragma once

#include "ports.h"

#include <format>
#include <string>
#include <vector>

namespace sluice::front {

/// Names of everything in Redis. What one script touches shares a hash tag, and so a Cluster slot.
class RedisKeys {
 public:
  explicit RedisKeys(std::string prefix) : prefix_(std::move(prefix)) {}

  /// Record, queue and will, and what is to be given on of it or an earlier one of its name.
  std::vector<std::string> session(const SessionKey& key) const {
    const std::string base = std::format("{}device:{{{}}}:", prefix_, key.value());
    return {base + "session", base + "queue", base + "will", base + "ended"};
  }
  std::string lease(const std::string& front) const {
    return std::format("{}front:{{{}}}:lease", prefix_, front);
  }
  /// Sessions with a will that a front owns, or owned a moment ago.
  std::string front_wills(const std::string& front) const {
    return std::format("{}front:{{{}}}:wills", prefix_, front);
  }
  std::string fronts() const { return prefix_ + "mqtt:{fronts}:addresses"; }
  /// Sessions with a will whose delay runs, by when it is due.
  std::string due_wills() const { return prefix_ + "mqtt:{wills}:due"; }
  /// Sessions that may leave something behind, by when they may have ended.
  std::string ended_sessions() const { return prefix_ + "mqtt:{ended}:due"; }
  /// Held by the one front that looks after what is due.
  std::string sweeper() const { return prefix_ + "mqtt:{sweeper}:lock"; }
  /// Values, log, state, and what each tenant has. One slot holds all of a mirror: its changes need
  /// an order, and every front has a copy, so that nothing but changes is ever read from it.
  std::vector<std::string> mirror(std::string_view name) const {
    const std::string base = std::format("{}mqtt:{{{}}}:", prefix_, name);
    return {base + "values", base + "log", base + "state", base + "tenants"};
  }

 private:
  std::string prefix_;
};

}  // namespace sluice::front
