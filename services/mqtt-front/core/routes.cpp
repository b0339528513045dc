#include "core/routes.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include <sluice/base/check.h>
#include <sluice/mqtt/topic.h>

namespace sluice::front {

std::string spelled_filter(std::string_view filter, std::string_view group) {
  if (group.empty()) return std::string(filter);
  std::string out = "$share/";
  out.append(group).append("/").append(filter);
  return out;
}

std::string_view tenant_of(const SessionKey& key) {
  const std::string_view text = key.value();
  const std::size_t slash = text.find('/');
  return slash == std::string_view::npos ? std::string_view() : text.substr(0, slash);
}

std::string_view device_of(const SessionKey& key) {
  const std::string_view text = key.value();
  const std::size_t slash = text.find('/');
  return slash == std::string_view::npos ? text : text.substr(slash + 1);
}

class TenantRoutes::Members final : public mqtt::MemberStates {
 public:
  explicit Members(const TenantRoutes& routes, std::span<const mqtt::SubscriberId> never = {})
      : routes_(routes), never_(never) {}
  State state_of(mqtt::SubscriberId member) const override {
    if (std::ranges::contains(never_, member)) return {.presence = Presence::kNever};
    const auto found = routes_.subscribers_.find(member);
    const bool is_online = found != routes_.subscribers_.end() && found->second.is_online;
    return {.presence = is_online ? Presence::kOnline : Presence::kOffline, .unacknowledged = 0};
  }

 private:
  const TenantRoutes& routes_;
  const std::span<const mqtt::SubscriberId> never_;
};

mqtt::GroupId TenantRoutes::group_of(std::string_view filter) const {
  return mqtt::is_shared(filter) ? index_.find_group(filter) : mqtt::kNoGroup;
}

void TenantRoutes::forget_if_empty(mqtt::GroupId group) {
  if (group != mqtt::kNoGroup && index_.group(group) == nullptr) shares_.erase(group);
}

TenantRoutes::TenantRoutes(std::size_t max_subscriptions, Total& total, Random& random,
                           mqtt::TopicLimits topics)
    : max_subscriptions_(max_subscriptions),
      total_(total),
      index_({.max_subscriptions = std::numeric_limits<std::size_t>::max(), .topics = topics},
             random) {}

void TenantRoutes::set_size() {
  const std::size_t before = size_.exchange(index_.size(), std::memory_order_relaxed);
  total_.size.fetch_add(index_.size() - before, std::memory_order_relaxed);
}

bool TenantRoutes::has_room_for(const SessionKey& key,
                                const StoredSubscription& subscription) const {
  const bool is_full = index_.size() >= max_subscriptions_ ||
                       total_.size.load(std::memory_order_relaxed) >= total_.max;
  if (!is_full) return true;
  const auto id = ids_.find(key);
  return id != ids_.end() &&
         std::ranges::contains(subscribers_.at(id->second).filters,
                               spelled_filter(subscription.filter, subscription.group));
}

TenantRoutes::Put TenantRoutes::put(const SessionKey& key, const StoredSubscription& subscription) {
  const std::lock_guard lock(mutex_);
  if (!has_room_for(key, subscription)) {
    return index_.size() >= max_subscriptions_ ? Put::kTenantFull : Put::kFull;
  }
  const Put put = add(key, subscription);
  if (const auto id = ids_.find(key); id != ids_.end()) subscribers_[id->second].is_online = true;
  return put;
}

void TenantRoutes::learn(const SessionKey& key, const StoredSubscription& subscription) {
  const std::lock_guard lock(mutex_);
  if (!is_online(key)) add(key, subscription);
}

void TenantRoutes::forget(const SessionKey& key, std::string_view filter, std::string_view group) {
  const std::lock_guard lock(mutex_);
  if (!is_online(key)) erase(key, spelled_filter(filter, group));
}

std::vector<std::string> TenantRoutes::replace(const SessionKey& key,
                                               std::span<const StoredSubscription> subscriptions) {
  const bool is_wide = std::ranges::any_of(subscriptions, &StoredSubscription::is_wide);
  if (!is_wide && is_empty()) return {};
  const std::lock_guard lock(mutex_);
  std::vector<std::string> kept;
  for (const StoredSubscription& subscription : subscriptions) {
    if (!subscription.is_wide) continue;
    add(key, subscription);
    kept.push_back(spelled_filter(subscription.filter, subscription.group));
  }
  const auto id = ids_.find(key);
  if (id == ids_.end()) return {};
  Subscriber& subscriber = subscribers_[id->second];
  subscriber.is_online = true;
  std::vector<std::string> gone;
  std::ranges::copy_if(
      subscriber.filters, std::back_inserter(gone),
      [&](const std::string& filter) { return !std::ranges::contains(kept, filter); });
  for (const std::string& filter : gone) erase(key, filter);
  return gone;
}

bool TenantRoutes::is_online(const SessionKey& key) const {
  const auto id = ids_.find(key);
  return id != ids_.end() && subscribers_.at(id->second).is_online;
}

TenantRoutes::Put TenantRoutes::add(const SessionKey& key, const StoredSubscription& subscription) {
  const auto [id, is_new_subscriber] = ids_.try_emplace(key, next_id_);
  if (is_new_subscriber) subscribers_[next_id_++] = {.key = key};
  std::vector<std::string>& filters = subscribers_[id->second].filters;
  std::string filter = spelled_filter(subscription.filter, subscription.group);
  const auto added = index_.add(id->second, filter,
                                {.qos = subscription.qos,
                                 .no_local = subscription.no_local,
                                 .retain_as_published = subscription.retain_as_published,
                                 .subscription_id = subscription.subscription_id});
  using Added = mqtt::SubscriptionIndex::Added;
  if (added == Added::kNew) {
    if (const auto group = group_of(filter); group != mqtt::kNoGroup) {
      mqtt::SharePtr& share = shares_[group];
      if (!share) share = std::make_shared<const std::string>(filter);
    }
    filters.push_back(std::move(filter));
  }
  set_size();
  if (filters.empty()) {
    subscribers_.erase(id->second);
    ids_.erase(id);
  }
  switch (added) {
    case Added::kNew:
      return Put::kNew;
    case Added::kReplaced:
      return Put::kReplaced;
    case Added::kInvalid:
      return Put::kInvalid;
    case Added::kFull:
      break;
  }
  return Put::kFull;
}

bool TenantRoutes::remove(const SessionKey& key, std::string_view filter, std::string_view group) {
  const std::lock_guard lock(mutex_);
  return erase(key, spelled_filter(filter, group));
}

bool TenantRoutes::erase(const SessionKey& key, const std::string& filter) {
  const auto id = ids_.find(key);
  const auto shared = group_of(filter);
  if (id == ids_.end() || !index_.remove(id->second, filter)) return false;
  forget_if_empty(shared);
  set_size();
  const auto subscriber = subscribers_.find(id->second);
  std::erase(subscriber->second.filters, filter);
  if (subscriber->second.filters.empty()) {
    subscribers_.erase(subscriber);
    ids_.erase(id);
  }
  return true;
}

std::vector<std::string> TenantRoutes::remove_all(const SessionKey& key) {
  if (is_empty()) return {};
  const std::lock_guard lock(mutex_);
  const auto id = ids_.find(key);
  if (id == ids_.end()) return {};
  const auto subscriber = subscribers_.find(id->second);
  std::vector<std::string> filters = std::move(subscriber->second.filters);
  std::vector<mqtt::GroupId> groups;
  for (const std::string& filter : filters) groups.push_back(group_of(filter));
  index_.remove_all(id->second, filters);
  for (const mqtt::GroupId group : groups) forget_if_empty(group);
  set_size();
  subscribers_.erase(subscriber);
  ids_.erase(id);
  return filters;
}

void TenantRoutes::set_online(const SessionKey& key, bool is_online) {
  if (is_empty()) return;
  const std::lock_guard lock(mutex_);
  const auto id = ids_.find(key);
  if (id != ids_.end()) subscribers_[id->second].is_online = is_online;
}

std::vector<Target> TenantRoutes::match(std::string_view topic, const SessionKey& publisher) {
  const std::lock_guard lock(mutex_);
  const auto id = ids_.find(publisher);
  const auto result =
      matcher_.match(index_, topic, id == ids_.end() ? 0 : id->second, Members(*this));
  std::vector<Target> targets;
  targets.reserve(result.targets.size());
  for (const auto& target : result.targets) {
    const Subscriber& subscriber = subscribers_.at(target.subscriber);
    targets.push_back(
        {.key = subscriber.key,
         .qos = target.qos,
         .retain_as_published = target.retain_as_published,
         .subscription_ids = {target.subscription_ids.begin(), target.subscription_ids.end()},
         .share = target.group == mqtt::kNoGroup ? nullptr : shares_.at(target.group),
         .is_online = subscriber.is_online});
  }
  return targets;
}

std::optional<Target> TenantRoutes::next_member(const mqtt::SharePtr& share,
                                                std::span<const SessionKey> had) {
  const std::lock_guard lock(mutex_);
  const auto group = index_.find_group(*share);
  if (group == mqtt::kNoGroup) return std::nullopt;
  std::vector<mqtt::SubscriberId> never;
  for (const SessionKey& key : had) {
    if (const auto id = ids_.find(key); id != ids_.end()) never.push_back(id->second);
  }
  const auto member =
      index_.group(group)->next_after(never.empty() ? 0 : never.front(), Members(*this, never));
  if (!member) return std::nullopt;
  const auto options = index_.member_options(group, *member);
  SLUICE_CHECK(options);
  Target target{.key = subscribers_.at(*member).key,
                .qos = options->qos,
                .retain_as_published = options->retain_as_published,
                .share = shares_.at(group)};
  if (options->subscription_id != 0) target.subscription_ids.push_back(options->subscription_id);
  return target;
}

TenantRoutes& Routes::of(std::string_view tenant) {
  const std::lock_guard lock(mutex_);
  auto& routes = tenants_[std::string(tenant)];
  if (!routes) routes = std::make_unique<TenantRoutes>(max_per_tenant_, total_, random_, topics_);
  return *routes;
}

}  // namespace sluice::front
