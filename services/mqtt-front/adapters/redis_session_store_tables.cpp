#include "adapters/redis_session_store_tables.h"

#include "adapters/stored_message.h"
#include "adapters/stored_subscription.h"
#include "core/retained_messages.h"
#include "core/routes.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include <sluice/base/planted_bug.h>

namespace sluice::front {
namespace {

// What a table's reader may be ahead of the listener: some scans' worth.
constexpr std::size_t kWaitingCalls = 4096;
// A subscription is no longer than a SUBSCRIBE may be: their number bounds their bytes.
constexpr std::uint64_t kAnyBytes = std::uint64_t{1} << 50;

RedisMirror::Bound bound(std::uint64_t limit, std::string_view setting) {
  return {.limit = limit, .setting = std::string(setting)};
}

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

RedisMirror::Bounds WideTable::bounds(const SessionStoreConfig& config) {
  const auto all = static_cast<std::uint64_t>(config.max_wide_subscriptions);
  return {.tenant_entries = bound(config.tenant_wide_subscriptions(), kTenantWideSubscriptions),
          .tenant_bytes = bound(kAnyBytes, kTenantWideSubscriptions),
          .entries = bound(all, kWideSubscriptions),
          .bytes = bound(kAnyBytes, kWideSubscriptions)};
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

void WideTable::on_put(const std::string& field, const std::string& value, std::uint64_t) {
  known_[field] = value;
  // The field is the session's key before what the value begins with, after the size of it.
  const std::size_t name_size = field.size() - std::min(field.size(), field.find('\0') + 1);
  auto read =
      decode_subscriptions(std::string_view(value).substr(0, subscription_record_size(name_size)));
  if (!read || read->size() != 1) return;
  calls_.push_when_there_is_room(
      [wide = SessionStore::WideSubscription{.key = SessionKey(field.substr(0, field.find('\0'))),
                                             .subscription = std::move(read->front())}](
          SessionStoreListener& listener) { listener.on_wide_put(wide); });
}

void WideTable::on_removed(const std::string& field, std::uint64_t) {
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

void WideTable::for_each(const Visit& visit) const {
  for (const auto& [field, value] : known_) visit(field, value.size());
}

std::string_view WideTable::tenant_of(std::string_view field) const {
  const std::string_view key = field.substr(0, field.find('\0'));
  const std::size_t slash = key.find('/');
  return slash == std::string_view::npos ? std::string_view() : key.substr(0, slash);
}

void ToldInOrder::begin(const std::string& generation) {
  if (generation == generation_) return;
  generation_ = generation;
  followed_ = 0;
  own_.clear();
}

bool ToldInOrder::takes_own(const std::string& field, const std::string& generation,
                            std::uint64_t version) {
  if (generation_.empty()) generation_ = generation;  // the first write of all
  // Of a life of the data that the log has still to tell of, or that is over: it tells of this,
  // too.
  if (generation != generation_) return false;
  if (version <= followed_ && !SLUICE_PLANTED_BUG("front_tells_own_writes_last")) return false;
  std::uint64_t& told = own_[field];
  if (version < told) return false;
  told = version;
  return true;
}

bool ToldInOrder::takes_followed(const std::string& field, std::uint64_t as_of) const {
  const auto own = own_.find(field);
  return own == own_.end() || own->second <= as_of;
}

void ToldInOrder::followed(std::uint64_t version) {
  followed_ = version;
  std::erase_if(own_, [&](const auto& own) { return own.second <= version; });
}

RedisMirror::Bounds RetainedTable::bounds(const SessionStoreConfig& config) {
  const auto all = static_cast<std::uint64_t>(config.max_retained);
  return {.tenant_entries = bound(config.tenant_retained(), kTenantRetainedMessages),
          .tenant_bytes = bound(config.tenant_retained_bytes(), kTenantRetainedBytes),
          .entries = bound(all, kRetainedMessages),
          .bytes = bound(config.max_retained_bytes.count, kRetainedBytes)};
}

void RetainedTable::put(const mqtt::MessagePtr& message, WhenAway when_away, Done<void> done) {
  RedisMirror::put(
      message->topic, encode_message(*message, Moment::of(clock_)),
      [this, message, when_away, done = std::move(done)](Result<redis::Reply> reply) mutable {
        on_written(message->topic, message, when_away, std::move(reply), std::move(done));
      });
}

void RetainedTable::remove(const std::string& topic, WhenAway when_away, Done<void> done) {
  RedisMirror::remove(
      topic, {},
      [this, topic, when_away, done = std::move(done)](Result<redis::Reply> reply) mutable {
        on_written(topic, nullptr, when_away, std::move(reply), std::move(done));
      });
}

void RetainedTable::on_written(const std::string& topic, const Held& written, WhenAway when_away,
                               Result<redis::Reply> reply, Done<void> done) {
  if (reply) return tell_own(topic, written, *reply, std::move(done));
  const bool is_away = is_retryable(reply.error().code());
  // On the Redis client's thread, so before the answer of any later write of the topic: what is
  // held is never newer than what the log then tells of.
  if (is_away && when_away == WhenAway::kTryAgain && hold(topic, written)) return done({});
  done(fail(std::move(reply).error()));
}

void RetainedTable::tell_own(const std::string& topic, const mqtt::MessagePtr& message,
                             const redis::Reply& reply, Done<void> done) {
  calls_.push([this, topic, message, version = version_of(reply),
               done = std::move(done)](SessionStoreListener& listener) mutable {
    if (version && told_.takes_own(topic, version->generation, version->number)) {
      if (message) {
        listener.on_retained_put(message);
      } else {
        listener.on_retained_removed(topic);
      }
    }
    done({});
  });
}

void RetainedTable::tell_followed(const std::string& field, mqtt::MessagePtr message,
                                  std::uint64_t as_of) {
  calls_.push_when_there_is_room(
      [this, field, message = std::move(message), as_of](SessionStoreListener& listener) {
        if (!told_.takes_followed(field, as_of)) return;
        if (message) {
          listener.on_retained_put(message);
        } else {
          listener.on_retained_removed(field);
        }
      });
}

void RetainedTable::on_put(const std::string& field, const std::string& value,
                           std::uint64_t as_of) {
  const Moment now = Moment::of(clock_);
  auto read = decode_message(value, now);
  if (!read) metrics_.damaged.add();
  const bool has_expired = read && read->has_expired(now.mono);
  Known& known = known_[field];
  const std::size_t hash = std::hash<std::string>{}(value);
  // What is read anew and is what it was says nothing about what is held.
  if (!is_loading() || known.hash != hash || known.size != value.size()) drop_held(field);
  known = {.size = value.size(), .hash = hash};
  if (read && !has_expired) {
    known.message = std::make_shared<const mqtt::Message>(*std::move(read));
  }
  tell_followed(field, known.message, as_of);
  // Whoever finds it removes it; only this one, not what may have replaced it.
  if (has_expired) RedisMirror::remove(field, value, [](const Result<redis::Reply>&) {});
}

void RetainedTable::on_removed(const std::string& field, std::uint64_t as_of) {
  drop_held(field);
  known_.erase(field);
  tell_followed(field, nullptr, as_of);
}

void RetainedTable::on_generation(const std::string& generation) {
  calls_.push_when_there_is_room(
      [this, generation](SessionStoreListener&) { told_.begin(generation); });
}

void RetainedTable::on_followed(std::uint64_t version) {
  calls_.push_when_there_is_room(
      [this, version](SessionStoreListener&) { told_.followed(version); });
}

std::vector<std::string> RetainedTable::fields() const {
  std::vector<std::string> fields;
  fields.reserve(known_.size());
  for (const auto& [field, known] : known_) {
    if (known.message) fields.push_back(field);
  }
  return fields;
}

std::string RetainedTable::value_of(const std::string& field) const {
  return encode_message(*known_.at(field).message, Moment::of(clock_));
}

void RetainedTable::for_each(const Visit& visit) const {
  for (const auto& [field, known] : known_) visit(field, known.size);
}

std::string_view RetainedTable::tenant_of(std::string_view field) const {
  return split_stored_name(field).tenant;
}

}  // namespace sluice::front
