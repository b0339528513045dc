#include "adapters/memory_session_store_fronts.h"

#include "adapters/stored_message.h"

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

Result<> MemoryFronts::put_wide(const SessionKey& key, const StoredSubscription& subscription) {
  const std::lock_guard lock(mutex_);
  const auto name = wide_name(key, subscription.group, subscription.filter);
  if (!wide_.contains(name) &&
      wide_.size() >= static_cast<std::size_t>(config_.max_wide_subscriptions)) {
    return refuse(metrics_, "session_max_wide_subscriptions");
  }
  const SessionStore::WideSubscription wide{.key = key, .subscription = subscription};
  wide_[name] = wide;
  tell_all([wide](SessionStoreListener& listener) { listener.on_wide_put(wide); });
  return {};
}

Result<> MemoryFronts::remove_wide(const SessionKey& key, std::string_view filter,
                                   std::string_view group) {
  const std::lock_guard lock(mutex_);
  if (wide_.erase(wide_name(key, group, filter)) == 0) return {};
  tell_all([key, filter = std::string(filter), group = std::string(group)](
               SessionStoreListener& listener) { listener.on_wide_removed(key, filter, group); });
  return {};
}

Result<> MemoryFronts::put_retained(const mqtt::MessagePtr& message) {
  const std::lock_guard lock(mutex_);
  const auto found = retained_.find(message->topic);
  const std::size_t old = found == retained_.end() ? 0 : found->second->size_bytes();
  if (found == retained_.end() &&
      retained_.size() >= static_cast<std::size_t>(config_.max_retained)) {
    return refuse(metrics_, "retained_max_messages");
  }
  const std::size_t bytes = retained_bytes_ - old + message->size_bytes();
  if (bytes > config_.max_retained_bytes.count) return refuse(metrics_, "retained_max_bytes");
  retained_bytes_ = bytes;
  retained_[message->topic] = message;
  tell_all([message](SessionStoreListener& listener) { listener.on_retained_put(message); });
  return {};
}

Result<> MemoryFronts::remove_retained(std::string_view topic) {
  const std::lock_guard lock(mutex_);
  const auto found = retained_.find(std::string(topic));
  if (found == retained_.end()) return {};
  retained_bytes_ -= found->second->size_bytes();
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
