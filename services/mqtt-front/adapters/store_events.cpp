#include "adapters/store_events.h"

#include <memory>
#include <utility>

#include <sluice/base/planted_bug.h>

namespace sluice::front {

StoreEvents::StoreEvents(Routes& routes, RetainedMessages& retained, std::vector<FrontLoop*> loops,
                         const Logger& log)
    : routes_(routes),
      retained_(retained),
      all_loops_(std::move(loops)),
      loops_(all_loops_),
      log_(log) {}

void StoreEvents::on_wide_put(const SessionStore::WideSubscription& wide) {
  routes_.of(tenant_of(wide.key)).learn(wide.key, wide.subscription);
}

void StoreEvents::on_wide_removed(const SessionKey& key, std::string_view filter,
                                  std::string_view group) {
  routes_.of(tenant_of(key)).forget(key, filter, group);
}

void StoreEvents::on_retained_put(const mqtt::MessagePtr& message) {
  const StoredName name = split_stored_name(message->topic);
  mqtt::Message unnamed = *message;
  unnamed.topic = std::string(name.topic);
  retained_.learn(name.tenant, std::make_shared<const mqtt::Message>(std::move(unnamed)));
}

void StoreEvents::on_retained_removed(std::string_view stored) {
  const StoredName name = split_stored_name(stored);
  retained_.remove(name.tenant, name.topic);
}

void StoreEvents::on_fenced(const SessionKey& key, Epoch epoch) {
  if (SLUICE_PLANTED_BUG("front_acts_after_fencing") ||
      SLUICE_PLANTED_BUG("front_takes_over_unasked")) {
    return;
  }
  loops_.post(loops_.owner_of(key), [key, epoch](Broker& broker) { broker.fence(key, epoch); });
}

void StoreEvents::on_will_due(const SessionKey& key, StoredWill will) {
  loops_.post(loops_.owner_of(key), [key, will = std::move(will)](Broker& broker) mutable {
    broker.publish_will(key, std::move(will));
  });
}

void StoreEvents::on_session_ended(const SessionKey& key, std::vector<mqtt::Delivery> shared) {
  loops_.post(loops_.owner_of(key), [key, shared = std::move(shared)](Broker& broker) {
    broker.on_session_ended(key, shared);
  });
}

void StoreEvents::on_lease(bool is_valid, bool sessions_lost) {
  if (is_valid) {
    log_.info("session_lease", {{"is_valid", true}});
  } else {
    log_.warning("session_lease", {{"is_valid", false}, {"sessions_lost", sessions_lost}});
  }
  if (!sessions_lost || SLUICE_PLANTED_BUG("front_acts_after_fencing")) return;
  for (FrontLoop* loop : all_loops_) {
    loop->drop_all("another front may own the session");
  }
}

}  // namespace sluice::front
