#pragma once

#include <atomic>
#include <cstddef>

#include <sluice/base/result.h>

namespace sluice::tsdb {

/// How many bytes all queries of a process hold at once, as far as they say. Thread-safe.
class QueryMemory {
 public:
  explicit QueryMemory(std::size_t limit) : limit_(limit) {}

  /// False and nothing taken where it would be too much.
  bool take(std::size_t bytes);
  void give_back(std::size_t bytes) { taken_.fetch_sub(bytes, std::memory_order_relaxed); }

  std::size_t taken() const { return taken_.load(std::memory_order_relaxed); }

 private:
  const std::size_t limit_;
  std::atomic<std::size_t> taken_ = 0;
};

/// What queries may hold beside the stretch of one device that they read. Each is a setting.
struct QueryMemoryLimits {
  /// Of one query: query_max_memory.
  std::size_t max_bytes = std::size_t{96} << 20;
  /// Of all at once: query_memory. Null: no bound. Must outlive every query.
  QueryMemory* all = nullptr;
};

/// What one query holds, given back at its end. One thread.
class HeldMemory {
 public:
  explicit HeldMemory(const QueryMemoryLimits& limits) : limits_(limits) {}
  ~HeldMemory();
  HeldMemory(const HeldMemory&) = delete;
  HeldMemory& operator=(const HeldMemory&) = delete;

  /// So much more. kInvalidArgument with reason "query_max_memory" where it is too much for one
  /// query, kResourceExhausted with reason "query_memory" where it is for all together.
  Result<> hold(std::size_t bytes);

 private:
  const QueryMemoryLimits limits_;
  std::size_t held_ = 0;
};

}  // namespace sluice::tsdb
