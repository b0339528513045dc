#include "core/retained_messages.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::front {
namespace {

// A step is some tens of nanoseconds: a SUBSCRIBE looks for at most a few milliseconds.
constexpr std::size_t kMaxSteps = 100'000;
// Version, flags, and the sizes of topic and payload.
constexpr std::size_t kRecordHead = 4;
constexpr std::size_t kUnbounded = std::numeric_limits<std::size_t>::max();

}  // namespace

std::string_view retained_refusal(const Error& error) {
  constexpr std::array kBounds{kTenantRetainedMessages, kTenantRetainedBytes, kRetainedMessages,
                               kRetainedBytes};
  const auto* const bound = std::ranges::find(kBounds, std::string_view(error.reason()));
  return bound == kBounds.end() ? kRetainedNotStored : *bound;
}

std::size_t retained_bytes(const mqtt::Message& stored) {
  return 2 * stored.topic.size() + kRecordHead + stored.payload.size() +
         stored.content_type.size() + stored.response_topic.size() +
         (stored.correlation_data ? stored.correlation_data->size() : 0) +
         stored.user_properties.size();
}

std::size_t retained_bytes(std::string_view tenant, const mqtt::Message& message) {
  return retained_bytes(message) + 2 * (tenant.size() + 1);
}

mqtt::RetainedIndex& RetainedMessages::of(std::string_view tenant) {
  auto& index = tenants_[std::string(tenant)];
  if (!index) {
    // The bounds are kept here: the index would not know of the other tenants, nor of the store.
    index = std::make_unique<mqtt::RetainedIndex>(
        mqtt::RetainedIndex::Limits{
            .max_messages = kUnbounded, .max_bytes = kUnbounded, .topics = limits_.topics},
        random_);
  }
  return *index;
}

template <typename Change>
void RetainedMessages::change(mqtt::RetainedIndex& index, Change change) {
  messages_ -= index.size(), bytes_ -= index.bytes();
  change();
  messages_ += index.size(), bytes_ += index.bytes();
}

std::string_view RetainedMessages::bound_reached(const mqtt::RetainedIndex& index,
                                                 std::string_view tenant,
                                                 const mqtt::Message& message) const {
  if (message.payload.empty()) return {};
  const mqtt::MessagePtr old = index.find(message.topic);
  if (!old && index.size() >= limits_.max_messages_per_tenant) return kTenantRetainedMessages;
  if (!old && messages_ >= limits_.max_messages) return kRetainedMessages;
  const std::size_t size = retained_bytes(tenant, message);
  const std::size_t old_size = old ? retained_bytes(tenant, *old) : 0;
  if (size <= old_size) return {};
  const std::size_t more = size - old_size;
  if (index.bytes() + more > limits_.max_bytes_per_tenant) return kTenantRetainedBytes;
  if (bytes_ + more > limits_.max_bytes) return kRetainedBytes;
  return {};
}

std::string_view RetainedMessages::bound_reached(std::string_view tenant,
                                                 const mqtt::Message& message) {
  const std::lock_guard lock(mutex_);
  return bound_reached(of(tenant), tenant, message);
}

void RetainedMessages::set(mqtt::RetainedIndex& index, std::string_view tenant,
                           mqtt::MessagePtr message) {
  change(index, [&] {
    if (message->payload.empty()) {
      index.clear(message->topic);
      return;
    }
    const std::string_view topic = message->topic;
    const std::size_t size = retained_bytes(tenant, *message);
    index.set(topic, std::move(message), size);
  });
}

std::string_view RetainedMessages::put(std::string_view tenant, mqtt::MessagePtr message) {
  const std::lock_guard lock(mutex_);
  mqtt::RetainedIndex& index = of(tenant);
  const std::string_view bound = bound_reached(index, tenant, *message);
  if (bound.empty()) set(index, tenant, std::move(message));
  return bound;
}

void RetainedMessages::learn(std::string_view tenant, mqtt::MessagePtr message) {
  const std::lock_guard lock(mutex_);
  set(of(tenant), tenant, std::move(message));
}

void RetainedMessages::remove(std::string_view tenant, std::string_view topic) {
  const std::lock_guard lock(mutex_);
  mqtt::RetainedIndex& index = of(tenant);
  change(index, [&] { index.clear(topic); });
}

std::vector<mqtt::MessagePtr> RetainedMessages::find(std::string_view tenant,
                                                     std::string_view filter, MonoTime now,
                                                     std::size_t limit) {
  std::vector<mqtt::MessagePtr> found;
  const std::lock_guard lock(mutex_);
  const auto index = tenants_.find(std::string(tenant));
  if (index == tenants_.end()) return found;
  mqtt::RetainedCursor cursor(*index->second, filter);
  cursor.next(kMaxSteps, [&](const mqtt::MessagePtr& message) {
    if (found.size() < limit && !message->has_expired(now)) found.push_back(message);
  });
  return found;
}

std::size_t RetainedMessages::sweep(MonoTime now, std::size_t steps) {
  const std::lock_guard lock(mutex_);
  std::size_t removed = 0;
  for (auto& [tenant, index] : tenants_) {
    change(*index, [&] {
      removed += index->sweep(
          steps, [&](const mqtt::Message& message) { return message.has_expired(now); });
    });
  }
  return removed;
}

void RetainedMessages::clear() {
  const std::lock_guard lock(mutex_);
  tenants_.clear();
  messages_ = 0, bytes_ = 0;
}

std::size_t RetainedMessages::size() {
  const std::lock_guard lock(mutex_);
  return messages_;
}

std::string stored_name(std::string_view tenant, std::string_view topic) {
  std::string name(tenant);
  return name.append("/").append(topic);
}

StoredName split_stored_name(std::string_view name) {
  const std::size_t slash = name.find('/');
  if (slash == std::string_view::npos) return {.topic = name};
  return {.tenant = name.substr(0, slash), .topic = name.substr(slash + 1)};
}

}  // namespace sluice::front
