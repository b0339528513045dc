#include "core/broker.h"

#include <format>
#include <memory>
#include <utility>

// Retained messages on their way to where they are kept: the store that the fronts share, or, where
// there is none, this process' own index.
namespace sluice::front {
namespace {

Error refused_by(std::string_view bound) {
  return Error(ErrorCode::kResourceExhausted, std::format("the limit of {} is reached", bound))
      .with_reason(std::string(bound));
}

/// The two things that become of a retained message of a service.
struct Published {
  std::size_t missing = 2;
  Result<> retained{};
  Result<FanOutCounts> counts{};
  Done<FanOutCounts> done{};

  void finish() {
    if (--missing > 0) return;
    if (!retained) return done(fail(std::move(retained).error()));
    done(std::move(counts));
  }
};

}  // namespace

void Broker::retain(std::string_view tenant, const mqtt::MessagePtr& message,
                    SessionStore::WhenAway when_away, Done<void> done) {
  auto counted = [this, done = std::move(done)](Result<> result) mutable {
    if (!result) ports_.metrics.count_dropped(retained_refusal(result.error()));
    done(std::move(result));
  };
  SessionStore& store = ports_.store;
  if (!store.is_durable()) {
    const std::string_view bound = ports_.retained.put(tenant, message);
    return counted(bound.empty() ? Result<>() : Result<>(fail(refused_by(bound))));
  }
  const std::string name = stored_name(tenant, message->topic);
  if (message->payload.empty()) {
    return store.remove_retained(name, when_away, std::move(counted));
  }
  mqtt::Message named = *message;
  named.topic = name;
  store.put_retained(std::make_shared<const mqtt::Message>(std::move(named)), when_away,
                     std::move(counted));
}

void Broker::publish(std::string_view tenant, mqtt::MessagePtr message, Done<FanOutCounts> done) {
  if (!message->retain) {
    return publish(SessionKey(), tenant, std::move(message), std::nullopt, std::move(done));
  }
  const std::string_view bound = ports_.retained.bound_reached(tenant, *message);
  if (!bound.empty()) {
    ports_.metrics.count_dropped(bound);
    return done(fail(refused_by(bound)));
  }
  const auto both = std::make_shared<Published>();  // owned by the two answers
  both->done = std::move(done);
  retain(tenant, message, SessionStore::WhenAway::kFail, [both](Result<> retained) {
    both->retained = std::move(retained);
    both->finish();
  });
  publish(SessionKey(), tenant, std::move(message), std::nullopt,
          [both](Result<FanOutCounts> counts) {
            both->counts = std::move(counts);
            both->finish();
          });
}

}  // namespace sluice::front
