#pragma once

#include "lru_map.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>

#include <sluice/auth/api_key_store.h>
#include <sluice/base/clock.h>
#include <sluice/metrics/metrics.h>

namespace sluice::auth {

/// The store with a bounded memory in front. It remembers keys that exist alone: an id that does
/// not would let anybody push real keys out. Thread-safe; nobody waits for another's question to
/// the store.
class ApiKeyCache {
 public:
  struct Limits {
    std::chrono::milliseconds ttl;
    std::size_t entries;
  };

  ApiKeyCache(Limits limits, const Clock& clock, ApiKeyStore& store, Registry& registry);

  Result<std::optional<ApiKeyRecord>> find(const crypto::Token& key);
  /// Without asking the store.
  std::optional<ApiKeyRecord> find_remembered(std::string_view id);
  void invalidate(std::string_view id);

 private:
  struct Entry {
    ApiKeyRecord record;
    MonoTime good_until;
  };

  std::optional<ApiKeyRecord> remembered(std::string_view id);

  const Limits limits_;
  const Clock& clock_;
  ApiKeyStore& store_;
  Counter hits_;
  Counter misses_;

  std::mutex mutex_;
  LruMap<Entry> entries_;
  // Counts invalidations: an answer that the store gave before one must not be remembered after it.
  std::uint64_t invalidations_ = 0;
};

}  // namespace sluice::auth
