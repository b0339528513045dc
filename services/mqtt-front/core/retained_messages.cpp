#include "core/retained_messages.h"

namespace sluice::front {
namespace {

// A step is some tens of nanoseconds: a SUBSCRIBE looks for at most a few milliseconds.
constexpr std::size_t kMaxSteps = 100'000;

}  // namespace

mqtt::RetainedIndex& RetainedMessages::of(std::string_view tenant) {
  auto& index = tenants_[std::string(tenant)];
  if (!index) index = std::make_unique<mqtt::RetainedIndex>(limits_, random_);
  return *index;
}

bool RetainedMessages::put(std::string_view tenant, mqtt::MessagePtr message) {
  const std::lock_guard lock(mutex_);
  mqtt::RetainedIndex& index = of(tenant);
  if (message->payload.empty()) {
    index.clear(message->topic);
    return true;
  }
  const std::string_view topic = message->topic;
  const std::size_t size = message->size_bytes();
  const auto stored = index.set(topic, std::move(message), size);
  return stored == mqtt::RetainedIndex::Stored::kNew ||
         stored == mqtt::RetainedIndex::Stored::kReplaced;
}

void RetainedMessages::remove(std::string_view tenant, std::string_view topic) {
  const std::lock_guard lock(mutex_);
  of(tenant).clear(topic);
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
    removed +=
        index->sweep(steps, [&](const mqtt::Message& message) { return message.has_expired(now); });
  }
  return removed;
}

void RetainedMessages::clear() {
  const std::lock_guard lock(mutex_);
  tenants_.clear();
}

std::size_t RetainedMessages::size() {
  const std::lock_guard lock(mutex_);
  std::size_t size = 0;
  for (const auto& [tenant, index] : tenants_) size += index->size();
  return size;
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
