#include "core/broker.h"
#include "core/client.h"

#include <memory>
#include <utility>

namespace sluice::front {

// The store has no call to empty it, since nobody but a test has a use for one. Claimed with clean
// start and let go of at once, a session is gone.
void Broker::reset_profile(const Client* client) {
  ports_.retained.clear();
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    Client* const other = slots_[slot].get();
    if (other == nullptr || other == client || other->has_ended_) continue;
    other->expiry_seconds_ = 0;
    other->disconnect(mqtt::ReasonCode::kAdministrativeAction, "reset");
  }
  for (const SessionKey& key : std::exchange(left_sessions_, {})) {
    if (find(key) != nullptr) continue;  // claimed again meanwhile, so it was seen to above
    ports_.routes.of(tenant_of(key)).remove_all(key);
    ports_.store.claim(key, {.clean_start = true},
                       [this, key](Result<SessionStore::ClaimOutcome> outcome) {
                         if (!outcome || outcome->owned_by_other) return;
                         ports_.store.release(key, outcome->claim.epoch, {}, [](Result<>) {});
                       });
  }
}

/// Acknowledged once every loop has done it, so that whoever connects next finds nothing, wherever.
void Client::reset_profile(const mqtt::Publish& publish, mqtt::PublishId id) {
  broker_.reset_profile(this);
  if (broker_.ports_.loops == 1) return answer_publish(id, mqtt::ReasonCode::kSuccess, "");
  if (id != 0) expect_stored(publish, id);
  broker_.ports_.neighbours.reset_profile([this, id, qos = publish.qos](Result<> done) {
    if (id == 0) return;  // the client may be gone
    on_stored(id, qos == mqtt::Qos::kExactlyOnce,
              done ? mqtt::ReasonCode::kSuccess : mqtt::ReasonCode::kUnspecifiedError, "");
    broker_.settle(*this);
  });
}

}  // namespace sluice::front
