#pragma once

#include "ports.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <sluice/base/ids.h>
#include <sluice/base/random.h>
#include <sluice/mqtt/session.h>
#include <sluice/mqtt/shared_group.h>
#include <sluice/mqtt/subscription_index.h>

namespace sluice::front {

// The bounds of wide subscriptions, by the settings that name them.
inline constexpr std::string_view kWideSubscriptions = "session_max_wide_subscriptions";
inline constexpr std::string_view kTenantWideSubscriptions =
    "session_max_wide_subscriptions_per_tenant";

/// What became of a message that was published to many.
struct FanOutCounts {
  std::uint32_t delivered = 0;
  std::uint32_t queued = 0;
  std::uint32_t dropped = 0;
  std::uint32_t failed = 0;  // of the dropped ones: nobody could say, trying again may help
};

/// One session that a message goes to, and how.
struct Target {
  SessionKey key{};
  mqtt::Qos qos = mqtt::Qos::kAtMostOnce;
  bool retain_as_published = false;
  std::vector<std::uint32_t> subscription_ids{};
  mqtt::SharePtr share{};  // for which shared subscription it was chosen; null: for none
  bool is_online = false;  // connected here
};

/// The wide subscriptions of one tenant: those that reach beyond the subscriber's own device. Here
/// are those of all fronts. Thread-safe; who publishes asks is_empty() first, which takes no lock,
/// because most tenants have none and every message passes here.
class TenantRoutes {
 public:
  /// How many there are of all tenants; shared by their routes.
  struct Total {
    std::size_t max = 0;
    std::atomic<std::size_t> size{0};
  };
  /// `total` must outlive it.
  TenantRoutes(std::size_t max_subscriptions, Total& total, Random& random,
               mqtt::TopicLimits topics = {});

  bool is_empty() const { return size_.load(std::memory_order_relaxed) == 0; }

  enum class Put : std::uint8_t { kNew, kReplaced, kInvalid, kTenantFull, kFull };
  /// Of a session that is connected here.
  Put put(const SessionKey& key, const StoredSubscription& subscription);
  /// What the store of all fronts has, and has no more. It keeps the bounds: nothing is refused
  /// here, since this front would be the only one without it. Sessions that are connected here are
  /// left alone: their own loop tells the store, and what comes back late would take away what they
  /// have put since.
  void learn(const SessionKey& key, const StoredSubscription& subscription);
  void forget(const SessionKey& key, std::string_view filter, std::string_view group);
  /// Puts those of a session that connects here, as far as they are wide, in place of all that it
  /// had. At once: whoever publishes meanwhile finds what is kept. Returns what is gone, as the
  /// client once wrote it.
  std::vector<std::string> replace(const SessionKey& key,
                                   std::span<const StoredSubscription> subscriptions);
  bool remove(const SessionKey& key, std::string_view filter, std::string_view group);
  /// Everything of a session that begins anew; what it was, as the client once wrote it.
  std::vector<std::string> remove_all(const SessionKey& key);

  /// Whether the session is connected; shared subscriptions prefer those that are.
  void set_online(const SessionKey& key, bool is_online);

  /// Whom a message goes to. `publisher` gets nothing by subscriptions with No Local.
  std::vector<Target> match(std::string_view topic, const SessionKey& publisher);

  /// Which member of a shared subscription gets a message that `had` have not kept; the first of
  /// them may have left the group. nullopt: no other is left.
  std::optional<Target> next_member(const mqtt::SharePtr& share, std::span<const SessionKey> had);

 private:
  struct Subscriber {
    SessionKey key{};
    std::vector<std::string> filters{};  // `$share/{group}/` included
    bool is_online = false;
  };
  class Members;

  // mutex_ held.
  Put add(const SessionKey& key, const StoredSubscription& subscription);
  bool erase(const SessionKey& key, const std::string& filter);
  bool is_online(const SessionKey& key) const;
  /// Or it is there already, and takes no more.
  bool has_room_for(const SessionKey& key, const StoredSubscription& subscription) const;
  void set_size();

  /// The group of a shared filter, while it has members.
  mqtt::GroupId group_of(std::string_view filter) const;
  void forget_if_empty(mqtt::GroupId group);

  const std::size_t max_subscriptions_;
  Total& total_;
  std::mutex mutex_;  // guards what follows
  mqtt::SubscriptionIndex index_;
  mqtt::Matcher matcher_{};
  std::unordered_map<mqtt::SubscriberId, Subscriber> subscribers_{};
  std::unordered_map<SessionKey, mqtt::SubscriberId> ids_{};
  std::unordered_map<mqtt::GroupId, mqtt::SharePtr> shares_{};  // shared with their deliveries
  mqtt::SubscriberId next_id_ = 1;
  std::atomic<std::size_t> size_{0};
};

/// The routes of every tenant. Thread-safe. A TenantRoutes lives as long as this.
class Routes {
 public:
  /// Unless `max_subscriptions` says otherwise, all tenants together may have what one may.
  Routes(std::size_t max_subscriptions_per_tenant, Random& random, mqtt::TopicLimits topics = {},
         std::optional<std::size_t> max_subscriptions = {})
      : max_per_tenant_(max_subscriptions_per_tenant), topics_(topics), random_(random) {
    total_.max = max_subscriptions.value_or(max_subscriptions_per_tenant);
  }

  TenantRoutes& of(std::string_view tenant);

 private:
  const std::size_t max_per_tenant_;
  const mqtt::TopicLimits topics_;
  Random& random_;
  TenantRoutes::Total total_{};
  std::mutex mutex_;  // guards what follows
  std::unordered_map<std::string, std::unique_ptr<TenantRoutes>> tenants_{};
};

/// As clients write it: with `$share/{group}/` before it where there is a group.
std::string spelled_filter(std::string_view filter, std::string_view group);

/// Tenant of a session: what comes before the '/' of its key; empty in the conformance profile.
std::string_view tenant_of(const SessionKey& key);
/// Device of a session: the rest.
std::string_view device_of(const SessionKey& key);

}  // namespace sluice::front
