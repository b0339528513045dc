#include "adapters/redis_session_store.h"

#include "adapters/redis_session_store_engine.h"
#include "adapters/stored_message.h"
#include "adapters/stored_subscription.h"

#include <string>
#include <utility>

namespace sluice::front {
namespace {

// Of one session's subscriptions together: a thousand of usual length. The core's own bound on
// their number comes first; this one keeps a record from growing without end.
constexpr const char* kMaxSubscriptionBytes = "131072";

}  // namespace

class RedisSessionStore::Handle final : public SessionStore {
 public:
  Handle(Engine& engine, LoopPost post)
      : engine_(engine), post_(std::make_shared<const LoopPost>(std::move(post))) {}

  bool is_durable() const override { return true; }
  bool lease_is_valid(MonoTime now) const override { return engine_.lease_is_valid(now); }

  void claim(const SessionKey& key, ClaimRequest request, Done<ClaimOutcome> done) override {
    engine_.claim(key, std::move(request), posted(std::move(done)));
  }
  void release(const SessionKey& key, Epoch epoch, Release release, Done<void> done) override {
    engine_.release(key, epoch, std::move(release), posted(std::move(done)));
  }
  void put_subscription(const SessionKey& key, Epoch epoch, const StoredSubscription& subscription,
                        Done<void> done) override {
    engine_.write(engine_.scripts().put_subscription, key, epoch,
                  {subscription_name(subscription.group, subscription.filter),
                   encode_subscription(subscription), kMaxSubscriptionBytes},
                  posted(std::move(done)));
  }
  void remove_subscription(const SessionKey& key, Epoch epoch, std::string_view filter,
                           std::string_view group, Done<void> done) override {
    engine_.write(engine_.scripts().remove_subscription, key, epoch,
                  {subscription_name(group, filter)}, posted(std::move(done)));
  }
  void put_delivery(const SessionKey& key, Epoch epoch, const mqtt::Delivery& delivery,
                    Done<void> done) override {
    engine_.put_delivery(key, epoch, delivery, posted(std::move(done)));
  }
  void update_delivery(const SessionKey& key, Epoch epoch,
                       const mqtt::Delivery& delivery) override {
    const bool is_released = delivery.state == mqtt::Delivery::State::kReleased;
    engine_.write(
        engine_.scripts().update_delivery, key, epoch,
        {std::to_string(delivery.sequence), encode_progress(delivery), is_released ? "1" : "0"},
        nullptr);
  }
  void remove_delivery(const SessionKey& key, Epoch epoch, std::uint64_t sequence) override {
    engine_.write(engine_.scripts().remove_delivery, key, epoch, {std::to_string(sequence)},
                  nullptr);
  }
  void put_inbound(const SessionKey& key, Epoch epoch, std::uint16_t packet_id,
                   Done<void> done) override {
    engine_.write(engine_.scripts().put_inbound, key, epoch, {std::to_string(packet_id)},
                  posted(std::move(done)));
  }
  void remove_inbound(const SessionKey& key, Epoch epoch, std::uint16_t packet_id,
                      Done<void> done) override {
    engine_.write(engine_.scripts().remove_inbound, key, epoch, {std::to_string(packet_id)},
                  posted(std::move(done)));
  }
  void locate(const SessionKey& key, Done<Place> done) override {
    engine_.locate(key, posted(std::move(done)));
  }
  void enqueue(const SessionKey& key, const mqtt::Delivery& delivery, Done<void> done) override {
    engine_.enqueue(key, delivery, posted(std::move(done)));
  }
  void remove_ended(const SessionKey& key, std::uint64_t sequence) override {
    engine_.remove_ended(key, sequence);
  }
  void put_wide(const SessionKey& key, Epoch epoch, const StoredSubscription& subscription,
                Done<void> done) override {
    engine_.put_wide(key, epoch, subscription, posted(std::move(done)));
  }
  void remove_wide(const SessionKey& key, std::string_view filter, std::string_view group,
                   Done<void> done) override {
    engine_.wide().remove(WideTable::field_of(key, group, filter), {}, replied(std::move(done)));
  }
  void put_retained(const mqtt::MessagePtr& message, WhenAway when_away, Done<void> done) override {
    engine_.retained().put(message, when_away, in_port_terms(std::move(done)));
  }
  void remove_retained(std::string_view topic, WhenAway when_away, Done<void> done) override {
    engine_.retained().remove(std::string(topic), when_away, in_port_terms(std::move(done)));
  }

 private:
  /// The same, but carried to the loop; it may outlive the handle.
  template <typename T>
  Done<T> posted(Done<T> done) {
    return [post = post_, done = std::move(done)](Result<T> result) mutable {
      (*post)([done = std::move(done), result = std::move(result)]() mutable {
        done(std::move(result));
      });
    };
  }
  Done<void> in_port_terms(Done<void> done) {
    return [this_engine = &engine_, done = posted(std::move(done))](Result<> result) mutable {
      if (!result) return done(fail(this_engine->to_port_error(std::move(result).error())));
      done({});
    };
  }
  redis::Client::Callback replied(Done<void> done) {
    return [this_engine = &engine_,
            done = posted(std::move(done))](Result<redis::Reply> reply) mutable {
      if (!reply) return done(fail(this_engine->to_port_error(std::move(reply).error())));
      done({});
    };
  }

  Engine& engine_;
  std::shared_ptr<const LoopPost> post_;  // shared with the calls under way
};

RedisSessionStore::RedisSessionStore(const SessionStoreConfig& config, const Clock& clock,
                                     Registry& registry, Logger log,
                                     std::unique_ptr<redis::Client> client, Identity identity,
                                     SessionStoreListener& listener)
    : engine_(std::make_unique<Engine>(config, clock, registry, std::move(log), std::move(client),
                                       std::move(identity), listener)) {}
RedisSessionStore::~RedisSessionStore() = default;

std::unique_ptr<SessionStore> RedisSessionStore::for_loop(LoopPost post) {
  return std::make_unique<Handle>(*engine_, std::move(post));
}
bool RedisSessionStore::lease_is_valid(MonoTime now) const { return engine_->lease_is_valid(now); }
bool RedisSessionStore::is_loaded() const { return engine_->is_loaded(); }
void RedisSessionStore::stop_sweeping() { engine_->stop_sweeping(); }
void RedisSessionStore::abandon() { engine_->stop_threads(); }

}  // namespace sluice::front
