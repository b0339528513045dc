#include "adapters/memory_session_store_fronts.h"

#include "adapters/stored_subscription.h"
#include "core/retained_messages.h"
#include "core/routes.h"

#include <format>

namespace sluice::front {
namespace {

std::string wide_name(const SessionKey& key, std::string_view group, std::string_view filter) {
  return key.value() + '\0' + subscription_name(group, filter);
}

}  // namespace

std::unexpected<Error> refuse(SessionStoreMetrics& metrics, std::string_view bound) {
  metrics.refused(bound);
  return fail(Error(ErrorCode::kResourceExhausted, std::format("the limit of {} is reached", bound))
                  .with_reason(std::string(bound)));
}

template <typename Call>
void MemoryFronts::tell_all(const Call& call) {
  for (const auto& [id, front] : fronts_) front->tell(call);
}

void MemoryFronts::add(MemoryFrontPtr front) {
  const std::lock_guard lock(mutex_);
  fronts_[front->id] = front;
  metrics_.lease_valid.set(1);  // nobody could take it
  front->tell([](SessionStoreListener& listener) { listener.on_lease(true, false); });
  for (const auto& [name, wide] : wide_) {
    front->tell([wide](SessionStoreListener& listener) { listener.on_wide_put(wide); });
  }
  for (const auto& [topic, message] : retained_) {
    front->tell([message](SessionStoreListener& listener) { listener.on_retained_put(message); });
  }
}

MemoryFrontPtr MemoryFronts::remove(const FrontId& id) {
  const std::lock_guard lock(mutex_);
  const auto found = fronts_.find(id);
  if (found == fronts_.end()) return nullptr;
  MemoryFrontPtr front = found->second;
  fronts_.erase(found);
  front->is_alive.store(false);
  return front;
}

MemoryFrontPtr MemoryFronts::find(const FrontId& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = fronts_.find(id);
  return found == fronts_.end() ? nullptr : found->second;
}

MemoryFronts::Tenant& MemoryFronts::tenant(std::string_view name) {
  const auto found = tenants_.find(name);
  return found != tenants_.end() ? found->second : tenants_[std::string(name)];
}

Result<> MemoryFronts::put_wide(const SessionKey& key, const StoredSubscription& subscription) {
  const std::lock_guard lock(mutex_);
  const auto name = wide_name(key, subscription.group, subscription.filter);
  Tenant& counts = tenant(tenant_of(key));
  const bool is_new = !wide_.contains(name);
  if (is_new && counts.wide >= config_.tenant_wide_subscriptions()) {
    return refuse(metrics_, kTenantWideSubscriptions);
  }
  if (is_new && wide_.size() >= static_cast<std::size_t>(config_.max_wide_subscriptions)) {
    return refuse(metrics_, kWideSubscriptions);
  }
  counts.wide += is_new ? 1 : 0;
  const SessionStore::WideSubscription wide{.key = key, .subscription = subscription};
  wide_[name] = wide;
  tell_all([wide](SessionStoreListener& listener) { listener.on_wide_put(wide); });
  return {};
}

Result<> MemoryFronts::remove_wide(const SessionKey& key, std::string_view filter,
                                   std::string_view group) {
  const std::lock_guard lock(mutex_);
  if (wide_.erase(wide_name(key, group, filter)) == 0) return {};
  --tenant(tenant_of(key)).wide;
  tell_all([key, filter = std::string(filter), group = std::string(group)](
               SessionStoreListener& listener) { listener.on_wide_removed(key, filter, group); });
  return {};
}

Result<> MemoryFronts::put_retained(const mqtt::MessagePtr& message) {
  const std::lock_guard lock(mutex_);
  Tenant& counts = tenant(split_stored_name(message->topic).tenant);
  const auto found = retained_.find(message->topic);
  const bool is_new = found == retained_.end();
  if (is_new && counts.retained >= config_.tenant_retained()) {
    return refuse(metrics_, kTenantRetainedMessages);
  }
  if (is_new && retained_.size() >= static_cast<std::size_t>(config_.max_retained)) {
    return refuse(metrics_, kRetainedMessages);
  }
  const std::size_t old = is_new ? 0 : retained_bytes(*found->second);
  const std::size_t size = retained_bytes(*message);
  if (size > old) {
    if (counts.retained_bytes + size - old > config_.tenant_retained_bytes()) {
      return refuse(metrics_, kTenantRetainedBytes);
    }
    if (retained_bytes_ + size - old > config_.max_retained_bytes.count) {
      return refuse(metrics_, kRetainedBytes);
    }
  }
  counts.retained += is_new ? 1 : 0;
  counts.retained_bytes += size - old;
  retained_bytes_ += size - old;
  retained_[message->topic] = message;
  tell_all([message](SessionStoreListener& listener) { listener.on_retained_put(message); });
  return {};
}

Result<> MemoryFronts::remove_retained(std::string_view topic) {
  const std::lock_guard lock(mutex_);
  const auto found = retained_.find(std::string(topic));
  if (found == retained_.end()) return {};
  Tenant& counts = tenant(split_stored_name(topic).tenant);
  const std::size_t size = retained_bytes(*found->second);
  --counts.retained;
  counts.retained_bytes -= size;
  retained_bytes_ -= size;
  retained_.erase(found);
  tell_all([topic = std::string(topic)](SessionStoreListener& listener) {
    listener.on_retained_removed(topic);
  });
  return {};
}

void MemoryFronts::hand_out(const SessionKey& key, StoredWill will) {
  const std::lock_guard lock(mutex_);
  if (fronts_.empty()) return;  // the process is ending, and nobody is left to publish it
  metrics_.wills.add();
  fronts_.begin()->second->tell(
      [key, will = std::move(will)](SessionStoreListener& listener) mutable {
        listener.on_will_due(key, std::move(will));
      });
}

void MemoryFronts::hand_out_ended(const SessionKey& key, std::vector<mqtt::Delivery> shared) {
  const std::lock_guard lock(mutex_);
  if (fronts_.empty()) return;
  fronts_.begin()->second->tell(
      [key, shared = std::move(shared)](SessionStoreListener& listener) mutable {
        listener.on_session_ended(key, std::move(shared));
      });
}

}  // namespace sluice::front
