#include "core/broker.h"
#include "core/client.h"
#include "core/topic_route.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <sluice/mqtt/topic.h>

namespace sluice::front {
namespace {

using mqtt::Qos;
using mqtt::ReasonCode;

ReasonCode granted(Qos qos) { return static_cast<ReasonCode>(qos); }

}  // namespace

// One SUBSCRIBE or UNSUBSCRIBE: answered when the store has all of it.
struct Client::FilterAnswers {
  mqtt::PacketType type{};
  std::uint16_t packet_id = 0;
  std::vector<ReasonCode> reasons{};
  struct Granted {
    StoredSubscription subscription{};
    std::size_t index = 0;  // of its reason
  };
  std::vector<Granted> to_retained{};  // whose retained messages follow the answer
  std::size_t outstanding = 1;         // one for the packet itself
};

void Client::on_subscribe(const mqtt::Subscribe& subscribe) {
  auto answers = std::make_shared<FilterAnswers>();  // owned by the store's calls under way
  answers->type = mqtt::PacketType::kSuback;
  answers->packet_id = subscribe.packet_id;
  subscribe.filters.for_each([&](const mqtt::Subscription& subscription) {
    if (answers->reasons.size() >= broker_.options_.max_filters) {
      answers->reasons.push_back(ReasonCode::kQuotaExceeded);
      return;
    }
    const std::size_t index = answers->reasons.size();
    answers->reasons.push_back(ReasonCode::kSuccess);
    answers->reasons[index] =
        subscribe_one(subscription, subscribe.subscription_id.value_or(0), answers, index);
  });
  filter_done(answers);
}

ReasonCode Client::subscribe_one(const mqtt::Subscription& subscription, std::uint32_t id,
                                 const std::shared_ptr<FilterAnswers>& answers, std::size_t index) {
  StoredSubscription stored{.filter = std::string(subscription.filter),
                            .qos = subscription.qos,
                            .no_local = subscription.no_local,
                            .retain_as_published = subscription.retain_as_published,
                            .subscription_id = id};
  const mqtt::TopicLimits& topics = broker_.options_.connection.topics;
  if (mqtt::is_shared(subscription.filter)) {
    const auto shared = mqtt::parse_shared(subscription.filter, topics);
    if (!shared) return ReasonCode::kTopicFilterInvalid;
    stored.filter = shared->filter;
    stored.group = shared->group;
  }
  if (!mqtt::is_valid_filter(stored.filter, topics)) return ReasonCode::kTopicFilterInvalid;
  if (broker_.options_.is_conformance_profile) {
    // Not kNotAuthorized: the suites know of this failure alone, as MQTT 3.1.1 does.
    if (stored.filter == kDeniedInProfile) return ReasonCode::kUnspecifiedError;
  } else {
    const auto allowed = identity_->policy.may_subscribe(subscription.filter);
    if (!allowed.is_allowed()) {
      broker_.ports_.metrics.count_dropped("subscribe_not_allowed");
      return ReasonCode::kNotAuthorized;
    }
    stored.qos = std::min(stored.qos, allowed.max_qos);
  }
  const auto same = std::ranges::find_if(subscriptions_, [&](const StoredSubscription& other) {
    return other.filter == stored.filter && other.group == stored.group;
  });
  const bool is_new = same == subscriptions_.end();
  if (is_new && subscriptions_.size() >= broker_.options_.max_subscriptions) {
    return ReasonCode::kQuotaExceeded;
  }
  stored.is_wide = reaches_beyond_own(stored);
  if (stored.is_wide) {
    const auto put = routes_->put(key_, stored);
    if (put == TenantRoutes::Put::kFull) return ReasonCode::kQuotaExceeded;
    if (put == TenantRoutes::Put::kInvalid) return ReasonCode::kTopicFilterInvalid;
    routes_->set_online(key_, true);
  }
  if (is_new) {
    subscriptions_.push_back(stored);
  } else {
    *same = stored;
  }
  if (route_) route_->topic.clear();  // whether it has subscribers is to be found anew
  broker_.ports_.metrics.subscribes.add();
  keep(stored, answers, index);
  const bool sends = subscription.retain_handling == mqtt::RetainHandling::kSend ||
                     (subscription.retain_handling == mqtt::RetainHandling::kSendIfNew && is_new);
  if (sends && stored.group.empty()) answers->to_retained.push_back({stored, index});
  return granted(stored.qos);
}

// Writes it to the store where the session outlives its connection.
void Client::keep(const StoredSubscription& stored, const std::shared_ptr<FilterAnswers>& answers,
                  std::size_t index) {
  SessionStore& store = broker_.ports_.store;
  if (!store.is_durable()) return;
  const auto came_back = [this, answers, index, stored](Result<> done) {
    if (broker_.came_back(*this, done)) {
      if (!done && !mqtt::is_failure(answers->reasons[index])) {
        answers->reasons[index] = ReasonCode::kUnspecifiedError;
        drop(stored);
      }
      filter_done(answers);
    }
    broker_.settle(*this);
  };
  if (outlives_connection()) {
    ++in_flight_, ++answers->outstanding;
    store.put_subscription(key_, epoch_, stored, came_back);
  }
  if (stored.is_wide) {
    ++in_flight_, ++answers->outstanding;
    store.put_wide(key_, epoch_, stored, came_back);
  }
}

// The store does not have it, so the client is told that it has no such subscription.
void Client::drop(const StoredSubscription& stored) {
  std::erase(subscriptions_, stored);
  if (stored.is_wide && !has_ended_) routes_->remove(key_, stored.filter, stored.group);
  if (route_) route_->topic.clear();
}

void Client::on_unsubscribe(const mqtt::Unsubscribe& unsubscribe) {
  auto answers = std::make_shared<FilterAnswers>();  // owned by the store's calls under way
  answers->type = mqtt::PacketType::kUnsuback;
  answers->packet_id = unsubscribe.packet_id;
  unsubscribe.filters.for_each([&](const mqtt::Subscription& asked) {
    const auto found = std::ranges::find_if(subscriptions_, [&](const StoredSubscription& other) {
      if (other.group.empty()) return other.filter == asked.filter;
      const auto shared = mqtt::parse_shared(asked.filter, broker_.options_.connection.topics);
      return shared && other.filter == shared->filter && other.group == shared->group;
    });
    if (found == subscriptions_.end()) {
      answers->reasons.push_back(ReasonCode::kNoSubscriptionExisted);
      return;
    }
    answers->reasons.push_back(ReasonCode::kSuccess);
    const StoredSubscription gone = std::move(*found);
    subscriptions_.erase(found);
    forget(gone, answers);
  });
  if (route_) route_->topic.clear();
  filter_done(answers);
}

void Client::forget(const StoredSubscription& gone, const std::shared_ptr<FilterAnswers>& answers) {
  if (gone.is_wide) routes_->remove(key_, gone.filter, gone.group);
  if (!gone.group.empty()) {
    broker_.give_on_taken(key_, epoch_, is_in_store_,
                          session_.take_shared(mqtt::Session::Take::kUnsent,
                                               spelled_filter(gone.filter, gone.group)));
  }
  SessionStore& store = broker_.ports_.store;
  if (!store.is_durable()) return;
  const auto came_back = [this, answers](Result<> done) {
    if (broker_.came_back(*this, done)) filter_done(answers);
    broker_.settle(*this);
  };
  if (outlives_connection()) {
    ++in_flight_, ++answers->outstanding;
    store.remove_subscription(key_, epoch_, gone.filter, gone.group, came_back);
  }
  if (gone.is_wide) {
    ++in_flight_, ++answers->outstanding;
    store.remove_wide(key_, gone.filter, gone.group, came_back);
  }
}

void Client::filter_done(const std::shared_ptr<FilterAnswers>& answers) {
  if (--answers->outstanding > 0 || has_ended_) return;
  if (!connection_.filters_done(answers->type, answers->packet_id, answers->reasons, output_)) {
    if (link_ != nullptr) link_->close_soon();
    return end("packet_too_large", true);
  }
  for (const auto& [subscription, index] : answers->to_retained) {
    if (!mqtt::is_failure(answers->reasons[index])) send_retained(subscription);
  }
  if (link_ != nullptr) link_->send_soon();
}

void Client::send_retained(const StoredSubscription& subscription) {
  const auto found = broker_.ports_.retained.find(tenant_of(key_), subscription.filter,
                                                  broker_.ports_.clock.mono(),
                                                  broker_.options_.max_retained_per_subscribe);
  for (const mqtt::MessagePtr& message : found) {
    mqtt::Delivery delivery{
        .message = message, .qos = std::min(message->qos, subscription.qos), .retain = true};
    if (subscription.subscription_id != 0) {
      delivery.subscription_ids.push_back(subscription.subscription_id);
    }
    receive(std::move(delivery), [](Result<Outcome>) {});
  }
}

bool Client::reaches_beyond_own(const StoredSubscription& subscription) const {
  if (broker_.options_.is_conformance_profile || !subscription.group.empty()) return true;
  return !broker_.is_own_filter(*identity_, subscription.filter);
}

}  // namespace sluice::front
