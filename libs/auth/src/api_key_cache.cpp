#include "api_key_cache.h"

#include <string>

namespace sluice::auth {
namespace {

Counter lookups(Registry& registry, std::string_view outcome) {
  return registry.counter("sluice_auth_api_key_lookups_total",
                          "API keys looked up, by where they were found.",
                          {{"outcome", std::string(outcome)}});
}

}  // namespace

ApiKeyCache::ApiKeyCache(Limits limits, const Clock& clock, ApiKeyStore& store, Registry& registry)
    : limits_(limits),
      clock_(clock),
      store_(store),
      hits_(lookups(registry, "cache")),
      misses_(lookups(registry, "store")),
      entries_(limits.entries) {}

std::optional<ApiKeyRecord> ApiKeyCache::remembered(std::string_view id) {
  const Entry* entry = entries_.find(id);
  if (entry == nullptr) return std::nullopt;
  if (clock_.mono() < entry->good_until) return entry->record;
  entries_.erase(id);
  return std::nullopt;
}

Result<std::optional<ApiKeyRecord>> ApiKeyCache::find(const crypto::Token& key) {
  const std::string& id = key.id;
  std::uint64_t invalidations_before = 0;
  {
    std::lock_guard lock(mutex_);
    if (auto record = remembered(id)) {
      hits_.add();
      return record;
    }
    invalidations_before = invalidations_;
  }
  misses_.add();
  const MonoTime asked_at = clock_.mono();
  SLUICE_TRY_ASSIGN(auto record, store_.find_presented(key));
  if (record) {
    std::lock_guard lock(mutex_);
    if (invalidations_ == invalidations_before) {
      entries_.put(id, {.record = *record, .good_until = asked_at + limits_.ttl});
    }
  }
  return record;
}

std::optional<ApiKeyRecord> ApiKeyCache::find_remembered(std::string_view id) {
  std::lock_guard lock(mutex_);
  auto record = remembered(id);
  if (record) hits_.add();
  return record;
}

void ApiKeyCache::invalidate(std::string_view id) {
  std::lock_guard lock(mutex_);
  ++invalidations_;
  entries_.erase(id);
}

}  // namespace sluice::auth
