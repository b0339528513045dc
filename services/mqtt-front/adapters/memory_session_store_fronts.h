#pragma once

#include "adapters/loop_post.h"
#include "adapters/session_store_config.h"
#include "adapters/session_store_metrics.h"
#include "ports.h"

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::front {

/// A front that works on a MemorySessionStore.
struct MemoryFront {
  FrontId id{};
  std::string address{};
  SessionStoreListener* listener = nullptr;
  LoopPost post{};
  std::atomic<bool> is_alive = true;

  template <typename Call>
  void tell(Call call) const {
    post([listener = listener, call = std::move(call)]() mutable { call(*listener); });
  }
};
using MemoryFrontPtr = std::shared_ptr<MemoryFront>;  // shared by this list and the sessions

/// The fronts, and what all of them are told: wide subscriptions and retained messages; and wills
/// and what was left of ended sessions, of which each goes to one. Thread-safe; one mutex, which is
/// never held while another is taken.
class MemoryFronts {
 public:
  MemoryFronts(const SessionStoreConfig& config, SessionStoreMetrics metrics)
      : config_(config), metrics_(metrics) {}

  void add(MemoryFrontPtr front);
  /// The front that is no longer alive; null: there was none.
  MemoryFrontPtr remove(const FrontId& id);
  MemoryFrontPtr find(const FrontId& id) const;

  Result<> put_wide(const SessionKey& key, const StoredSubscription& subscription);
  Result<> remove_wide(const SessionKey& key, std::string_view filter, std::string_view group);
  Result<> put_retained(const mqtt::MessagePtr& message);
  Result<> remove_retained(std::string_view topic);
  void hand_out(const SessionKey& key, StoredWill will);
  void hand_out_ended(const SessionKey& key, std::vector<mqtt::Delivery> shared);

 private:
  template <typename Call>
  void tell_all(const Call& call);
  struct Tenant {  // what it has
    std::size_t wide = 0;
    std::size_t retained = 0;
    std::size_t retained_bytes = 0;
  };
  Tenant& tenant(std::string_view name);

  const SessionStoreConfig config_;
  SessionStoreMetrics metrics_;
  mutable std::mutex mutex_{};  // guards what follows
  std::map<FrontId, MemoryFrontPtr> fronts_{};
  std::map<std::string, SessionStore::WideSubscription> wide_{};
  std::map<std::string, mqtt::MessagePtr> retained_{};  // shared with the fronts' indexes
  std::size_t retained_bytes_ = 0;
  std::map<std::string, Tenant, std::less<>> tenants_{};
};

/// Counts a bound that is reached and makes its error.
std::unexpected<Error> refuse(SessionStoreMetrics& metrics, std::string_view bound);

}  // namespace sluice::front
