#include "core/broker.h"
#include "core/client.h"
#include "core/topic_route.h"

#include <algorithm>
#include <memory>
#include <optional>
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

// Each filter is a write or two to a store that all connections share, and its retained messages
// are looked for in an index that all share. All of a session's subscriptions may come again in a
// second, and twice as many at once.
void Client::meter_filters(std::size_t count) {
  if (!tenant_) return;  // the conformance profile
  const std::size_t most = broker_.options_.max_subscriptions;
  const Rate rate(most, 2 * most);
  const MonoTime now = broker_.ports_.clock.mono();
  const auto wait = meter_.filters.wait(rate, count, now);
  meter_.filters.take(rate, count, now);  // on credit: it has been read
  if (wait.count() == 0 || link_ == nullptr) return;
  broker_.ports_.metrics.count_slowed("filters_per_second");
  link_->pause_until(now + wait);
}

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
  meter_filters(answers->reasons.size());
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
  std::optional<StoredSubscription> before;
  if (!is_new) before = *same;
  if (is_new && subscriptions_.size() >= broker_.options_.max_subscriptions) {
    return ReasonCode::kQuotaExceeded;
  }
  stored.is_wide = reaches_beyond_own(stored);
  if (stored.is_wide) {
    const auto put = routes_->put(key_, stored);
    if (put == TenantRoutes::Put::kTenantFull || put == TenantRoutes::Put::kFull) {
      broker_.ports_.metrics.count_dropped(
          put == TenantRoutes::Put::kFull ? kWideSubscriptions : kTenantWideSubscriptions);
      return ReasonCode::kQuotaExceeded;
    }
    if (put == TenantRoutes::Put::kInvalid) return ReasonCode::kTopicFilterInvalid;
  }
  if (is_new) {
    subscriptions_.push_back(stored);
  } else {
    *same = stored;
  }
  if (route_) route_->topic.clear();  // whether it has subscribers is to be found anew
  broker_.ports_.metrics.subscribes.add();
  keep(stored, std::move(before), answers, index);
  const bool sends = subscription.retain_handling == mqtt::RetainHandling::kSend ||
                     (subscription.retain_handling == mqtt::RetainHandling::kSendIfNew && is_new);
  if (sends && stored.group.empty()) answers->to_retained.push_back({stored, index});
  return granted(stored.qos);
}

// Writes it to the store where the session outlives its connection.
void Client::keep(const StoredSubscription& stored, std::optional<StoredSubscription> before,
                  const std::shared_ptr<FilterAnswers>& answers, std::size_t index) {
  SessionStore& store = broker_.ports_.store;
  if (!store.is_durable()) return;
  const auto came_back = [this, answers, index, stored, before = std::move(before)](Result<> done) {
    if (broker_.came_back(*this, done)) {
      if (!done && !mqtt::is_failure(answers->reasons[index])) {
        answers->reasons[index] = done.error().reason().starts_with("session_max_")
                                      ? ReasonCode::kQuotaExceeded
                                      : ReasonCode::kUnspecifiedError;
        undo(stored, before);
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

// The store did not take it, so the client is told that it has no such subscription, and has what
// it had before. Of the two things to be written one may be there, and an answer may be lost.
void Client::undo(const StoredSubscription& refused,
                  const std::optional<StoredSubscription>& before) {
  const auto same = std::ranges::find(subscriptions_, refused);
  if (same == subscriptions_.end() || has_ended_) return;  // there is a later word on it
  if (before) {
    *same = *before;
  } else {
    subscriptions_.erase(same);
  }
  if (route_) route_->topic.clear();
  SessionStore& store = broker_.ports_.store;
  const auto whatever = [](const Result<>&) {};
  if (outlives_connection()) {
    before ? store.put_subscription(key_, epoch_, *before, whatever)
           : store.remove_subscription(key_, epoch_, refused.filter, refused.group, whatever);
  }
  if (!refused.is_wide) return;
  if (before) {
    routes_->put(key_, *before);
    store.put_wide(key_, epoch_, *before, whatever);
  } else {
    routes_->remove(key_, refused.filter, refused.group);
    store.remove_wide(key_, refused.filter, refused.group, whatever);
  }
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
  meter_filters(answers->reasons.size());
  filter_done(answers);
}

void Client::forget(const StoredSubscription& gone, const std::shared_ptr<FilterAnswers>& answers) {
  if (gone.is_wide) routes_->remove(key_, gone.filter, gone.group);
  if (gone.group.empty()) {
    forget_retained(gone.filter);
  } else {
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
  const bool was_full = !connection_.wants_bytes();
  if (!connection_.filters_done(answers->type, answers->packet_id, answers->reasons, output_)) {
    if (link_ != nullptr) link_->close_soon();
    return end("packet_too_large", true, Flaps::kYes);
  }
  for (const auto& [subscription, index] : answers->to_retained) {
    if (!mqtt::is_failure(answers->reasons[index])) send_retained(subscription);
  }
  if (link_ == nullptr || has_ended_) return;
  link_->send_soon();
  if (was_full && connection_.wants_bytes()) link_->read_again();
}

void Client::send_retained(const StoredSubscription& subscription) {
  auto found = broker_.ports_.retained.find(tenant_of(key_), subscription.filter,
                                            broker_.ports_.clock.mono(),
                                            broker_.options_.max_retained_per_subscribe);
  forget_retained(subscription.filter);
  if (found.empty()) return;
  rare().retained.push_back({.subscription = subscription, .messages = std::move(found)});
  send_more_retained();
}

void Client::forget_retained(std::string_view filter) {
  if (!rare_) return;
  std::erase_if(rare_->retained, [&](const RetainedToSend& waiting) {
    return waiting.subscription.group.empty() && waiting.subscription.filter == filter;
  });
}

// As the client reads and acknowledges: a thousand at once would not have room in its output or its
// queue.
void Client::send_more_retained() {
  if (!rare_ || rare_->retained.empty() || has_ended_) return;
  const mqtt::Session::Limits& limits = broker_.options_.session;
  auto& all = rare_->retained;
  while (!all.empty()) {
    RetainedToSend& waiting = all.front();
    if (waiting.next == waiting.messages.size()) {
      all.erase(all.begin());
      continue;
    }
    // Half of the queue is left to what comes meanwhile.
    const bool has_room = output_.size() < broker_.options_.max_output &&
                          session_.queued() <= limits.max_queued / 2 &&
                          session_.queued_bytes() <= limits.max_queued_bytes / 2;
    if (!has_room) {
      for (RetainedToSend& each : all) each.has_waited = true;
      return;
    }
    const mqtt::MessagePtr message = std::move(waiting.messages[waiting.next++]);
    // What took its place since, the client has got already.
    if (waiting.has_waited && !is_still_retained(*message)) continue;
    mqtt::Delivery delivery{.message = message,
                            .qos = std::min(message->qos, waiting.subscription.qos),
                            .retain = true};
    if (waiting.subscription.subscription_id != 0) {
      delivery.subscription_ids.push_back(waiting.subscription.subscription_id);
    }
    receive(std::move(delivery), [](Result<Outcome>) {});
  }
}

bool Client::is_still_retained(const mqtt::Message& message) const {
  const auto now =
      broker_.ports_.retained.find(tenant_of(key_), message.topic, broker_.ports_.clock.mono(), 1);
  return !now.empty() && now.front()->payload == message.payload;
}

bool Client::reaches_beyond_own(const StoredSubscription& subscription) const {
  if (broker_.options_.is_conformance_profile || !subscription.group.empty()) return true;
  return !broker_.is_own_filter(*identity_, subscription.filter);
}

}  // namespace sluice::front
