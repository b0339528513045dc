#include "adapters/redis_session_store_tables.h"

#include "adapters/stored_message.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace sluice::front {
namespace {

// What a table's reader may be ahead of the listener: some scans' worth.
constexpr std::size_t kWaitingCalls = 4096;

}  // namespace

void ListenerCalls::push(Call call) {
  {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
  }
  not_empty_.notify_one();
}

void ListenerCalls::push_when_there_is_room(Call call) {
  {
    std::unique_lock lock(mutex_);
    has_room_.wait(lock, [&] { return is_closed_ || calls_.size() < kWaitingCalls; });
    if (is_closed_) return;
    calls_.push_back(std::move(call));
  }
  not_empty_.notify_one();
}

std::optional<ListenerCalls::Call> ListenerCalls::pop_for(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  not_empty_.wait_for(lock, timeout, [&] { return is_closed_ || !calls_.empty(); });
  if (calls_.empty()) return std::nullopt;
  std::optional<Call> call(std::move(calls_.front()));
  calls_.pop_front();
  has_room_.notify_one();
  return call;
}

void ListenerCalls::close() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  not_empty_.notify_all();
  has_room_.notify_all();
}

std::string WideTable::field_of(const SessionKey& key, std::string_view group,
                                std::string_view filter) {
  return key.value() + '\0' + subscription_name(group, filter);
}

std::string WideTable::value_of(const StoredSubscription& subscription, Epoch epoch) {
  std::string value = encode_subscription(subscription);
  for (unsigned shift = 0; shift < 64; shift += 8) {
    value.push_back(static_cast<char>(epoch.value() >> shift & 0xFF));
  }
  return value;
}

void WideTable::remove_all_of(const SessionKey& key) {
  const std::string prefix = key.value() + '\0';
  for (auto known = known_.lower_bound(prefix);
       known != known_.end() && known->first.starts_with(prefix); ++known) {
    remove(known->first, known->second, [](const Result<redis::Reply>&) {});
  }
}

void WideTable::on_put(const std::string& field, const std::string& value) {
  // The field is the session's key before what the value begins with, after the size of it.
  const std::size_t name_size = field.size() - std::min(field.size(), field.find('\0') + 1);
  auto read =
      decode_subscriptions(std::string_view(value).substr(0, subscription_record_size(name_size)));
  if (!read || read->size() != 1) return;
  known_[field] = value;
  calls_.push_when_there_is_room(
      [wide = SessionStore::WideSubscription{.key = SessionKey(field.substr(0, field.find('\0'))),
                                             .subscription = std::move(read->front())}](
          SessionStoreListener& listener) { listener.on_wide_put(wide); });
}

void WideTable::on_removed(const std::string& field) {
  if (known_.erase(field) == 0) return;
  const std::size_t end_of_key = field.find('\0');
  const std::size_t end_of_group = field.find('\0', end_of_key + 1);
  if (end_of_key == std::string::npos || end_of_group == std::string::npos) return;
  calls_.push_when_there_is_room(
      [key = SessionKey(field.substr(0, end_of_key)),
       group = field.substr(end_of_key + 1, end_of_group - end_of_key - 1),
       filter = field.substr(end_of_group + 1)](SessionStoreListener& listener) {
        listener.on_wide_removed(key, filter, group);
      });
}

std::vector<std::string> WideTable::fields() const {
  std::vector<std::string> fields;
  fields.reserve(known_.size());
  for (const auto& [field, value] : known_) fields.push_back(field);
  return fields;
}

std::string WideTable::value_of(const std::string& field) const { return known_.at(field); }

void RetainedTable::on_put(const std::string& field, const std::string& value) {
  const Moment now = Moment::of(clock_);
  auto read = decode_message(value, now);
  if (!read) {
    damaged_.add();
    return;
  }
  if (read->has_expired(now.mono)) {
    on_removed(field);
    // Whoever finds it removes it; only this one, not what may have replaced it.
    remove(field, value, [](const Result<redis::Reply>&) {});
    return;
  }
  auto message = std::make_shared<const mqtt::Message>(*std::move(read));
  known_[field] = message;
  calls_.push_when_there_is_room(
      [message](SessionStoreListener& listener) { listener.on_retained_put(message); });
}

void RetainedTable::on_removed(const std::string& field) {
  if (known_.erase(field) == 0) return;
  calls_.push_when_there_is_room(
      [field](SessionStoreListener& listener) { listener.on_retained_removed(field); });
}

std::vector<std::string> RetainedTable::fields() const {
  std::vector<std::string> fields;
  fields.reserve(known_.size());
  for (const auto& [field, message] : known_) fields.push_back(field);
  return fields;
}

std::string RetainedTable::value_of(const std::string& field) const {
  return encode_message(*known_.at(field), Moment::of(clock_));
}

}  // namespace sluice::front
