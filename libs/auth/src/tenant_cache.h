#pragma once

#include "lru_map.h"

#include <chrono>
#include <cstddef>
#include <mutex>

#include <sluice/auth/tenant_directory.h>
#include <sluice/base/clock.h>

namespace sluice::auth {

/// The directory with a bounded memory in front, of suspended tenants too: only who holds a genuine
/// token can ask, so nobody can fill it. Thread-safe; nobody waits for another's question.
class TenantCache {
 public:
  struct Limits {
    std::chrono::milliseconds ttl;
    std::size_t entries;
  };

  TenantCache(Limits limits, const Clock& clock, TenantDirectory& directory);

  Result<bool> is_active(const TenantId& tenant);

 private:
  struct Entry {
    bool is_active = false;
    MonoTime good_until;
  };

  const Limits limits_;
  const Clock& clock_;
  TenantDirectory& directory_;
  std::mutex mutex_;
  LruMap<Entry> entries_;
};

}  // namespace sluice::auth
