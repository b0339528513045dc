#include "tenant_cache.h"

namespace sluice::auth {

TenantCache::TenantCache(Limits limits, const Clock& clock, TenantDirectory& directory)
    : limits_(limits), clock_(clock), directory_(directory), entries_(limits.entries) {}

Result<bool> TenantCache::is_active(const TenantId& tenant) {
  // The time before asking: an answer is as old as its question.
  const MonoTime asked_at = clock_.mono();
  {
    std::lock_guard lock(mutex_);
    const Entry* entry = entries_.find(tenant.value());
    if (entry != nullptr && asked_at < entry->good_until) return entry->is_active;
  }
  SLUICE_TRY_ASSIGN(const bool is_active, directory_.is_active(tenant));
  std::lock_guard lock(mutex_);
  entries_.put(tenant.value(), {.is_active = is_active, .good_until = asked_at + limits_.ttl});
  return is_active;
}

}  // namespace sluice::auth
