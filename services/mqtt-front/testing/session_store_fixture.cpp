#include "testing/session_store_contract.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <sluice/testing/eventually.h>

namespace sluice::front::testing {

TestLoop::TestLoop() : thread_([this] { run(); }) {}

TestLoop::~TestLoop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

LoopPost TestLoop::post() {
  return [this](std::move_only_function<void()> task) {
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    changed_.notify_all();
  };
}

void TestLoop::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return is_stopping_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    auto task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    lock.lock();
  }
}

namespace {

std::string name_of(const SessionKey& key, std::string_view group, std::string_view filter) {
  return key.value() + " " + std::string(group) + " " + std::string(filter);
}

}  // namespace

void RecordingListener::on_wide_put(const SessionStore::WideSubscription& subscription) {
  const std::lock_guard lock(mutex_);
  wide_.insert(
      name_of(subscription.key, subscription.subscription.group, subscription.subscription.filter));
}
void RecordingListener::on_wide_removed(const SessionKey& key, std::string_view filter,
                                        std::string_view group) {
  const std::lock_guard lock(mutex_);
  wide_.erase(name_of(key, group, filter));
}
void RecordingListener::on_retained_put(const mqtt::MessagePtr& message) {
  const std::lock_guard lock(mutex_);
  retained_[message->topic] = message->payload;
}
void RecordingListener::on_retained_removed(std::string_view topic) {
  const std::lock_guard lock(mutex_);
  retained_.erase(std::string(topic));
}
void RecordingListener::on_will_due(const SessionKey& key, StoredWill will) {
  const std::lock_guard lock(mutex_);
  wills_.push_back(key.value() + " " + will.message.payload);
  whole_wills_.push_back(std::move(will));
}
void RecordingListener::on_session_ended(const SessionKey&, std::vector<mqtt::Delivery> shared) {
  const std::lock_guard lock(mutex_);
  std::ranges::move(shared, std::back_inserter(ended_));
}
void RecordingListener::on_lease(bool is_valid, bool sessions_lost) {
  const std::lock_guard lock(mutex_);
  leases_.emplace_back(is_valid ? "valid" : sessions_lost ? "lost" : "uncertain");
}
void RecordingListener::on_fenced(const SessionKey& key, Epoch) {
  const std::lock_guard lock(mutex_);
  fenced_.push_back(key.value());
}

std::set<std::string> RecordingListener::wide() const {
  const std::lock_guard lock(mutex_);
  return wide_;
}
std::map<std::string, std::string> RecordingListener::retained() const {
  const std::lock_guard lock(mutex_);
  return retained_;
}
std::vector<std::string> RecordingListener::wills() const {
  const std::lock_guard lock(mutex_);
  return wills_;
}
std::vector<StoredWill> RecordingListener::whole_wills() const {
  const std::lock_guard lock(mutex_);
  return whole_wills_;
}
std::vector<mqtt::Delivery> RecordingListener::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}
std::vector<std::string> RecordingListener::leases() const {
  const std::lock_guard lock(mutex_);
  return leases_;
}
std::vector<std::string> RecordingListener::fenced() const {
  const std::lock_guard lock(mutex_);
  return fenced_;
}

SessionStoreConfig contract_config() {
  SessionStoreConfig config;
  config.session_store = "memory";
  config.max_sessions = 1000;
  config.max_session_store_bytes = 16_MiB;
  config.max_queued = 20;
  config.max_queued_bytes = 16_KiB;
  config.max_wide_subscriptions = 10;
  config.max_tenant_wide_subscriptions = 6;
  config.max_retained = 10;
  config.max_tenant_retained = 6;
  config.max_retained_bytes = 8_KiB;
  config.max_tenant_retained_bytes = 6_KiB;
  config.front_lease = std::chrono::milliseconds(1000);
  config.session_outage = "keep";
  config.follow_interval = std::chrono::milliseconds(5);
  config.will_interval = std::chrono::milliseconds(10);
  return config;
}

mqtt::MessagePtr message_of(std::string topic, std::string payload) {
  mqtt::Message message;
  message.topic = std::move(topic);
  message.payload = std::move(payload);
  message.qos = mqtt::Qos::kAtLeastOnce;
  return std::make_shared<const mqtt::Message>(std::move(message));
}

mqtt::Delivery delivery_of(std::uint64_t sequence, std::string payload, std::uint16_t packet_id,
                           mqtt::Delivery::State state) {
  mqtt::Delivery delivery;
  delivery.sequence = sequence;
  delivery.message = message_of("blue/d1/down", std::move(payload));
  delivery.qos = mqtt::Qos::kAtLeastOnce;
  delivery.packet_id = packet_id;
  delivery.state = state;
  return delivery;
}

mqtt::Delivery shared_of(std::uint64_t sequence, std::string payload, mqtt::Qos qos,
                         mqtt::Delivery::State state) {
  const bool is_sent = state != mqtt::Delivery::State::kWaiting;
  mqtt::Delivery delivery =
      delivery_of(sequence, std::move(payload),
                  is_sent ? static_cast<std::uint16_t>(sequence) : std::uint16_t{0}, state);
  delivery.qos = qos;
  delivery.share = std::make_shared<const std::string>("$share/g/blue/#");
  delivery.given_on = 3;
  return delivery;
}

StoredWill will_of(std::string payload, std::chrono::seconds delay) {
  return {.message = *message_of("blue/d1/status", std::move(payload)), .delay = delay};
}

std::vector<std::string> payloads_of(const StoredSession& session) {
  std::vector<std::string> payloads;
  for (const auto& delivery : session.deliveries) {
    payloads.push_back(delivery.message ? delivery.message->payload : "");
  }
  return payloads;
}

SessionStoreContract::SessionStoreContract() = default;

Result<SessionStore::ClaimOutcome> SessionStoreContract::try_claim(FrontUnderTest& front,
                                                                   ClaimRequest request,
                                                                   const SessionKey& of) {
  return wait_for<SessionStore::ClaimOutcome>(
      front.loop(), [&](Done<SessionStore::ClaimOutcome> done) {
        front.store().claim(of, std::move(request), std::move(done));
      });
}

SessionStore::Claim SessionStoreContract::claim(FrontUnderTest& front, ClaimRequest request) {
  auto outcome = try_claim(front, std::move(request), key);
  EXPECT_TRUE(outcome) << outcome.error().message();
  if (!outcome) return {};
  EXPECT_FALSE(outcome->owned_by_other) << "another front owns it";
  return std::move(outcome->claim);
}

Result<> SessionStoreContract::release(FrontUnderTest& front, Epoch epoch, Release release) {
  return wait_for<void>(front.loop(), [&](Done<void> done) {
    front.store().release(key, epoch, std::move(release), std::move(done));
  });
}

Result<SessionStore::Place> SessionStoreContract::locate(FrontUnderTest& front) {
  return wait_for<SessionStore::Place>(front.loop(), [&](Done<SessionStore::Place> done) {
    front.store().locate(key, std::move(done));
  });
}

Result<> SessionStoreContract::retain(FrontUnderTest& front, const std::string& topic,
                                      const std::string& payload) {
  const auto message = message_of(topic, payload);
  return wait_for<void>(front.loop(), [&](Done<void> done) {
    front.store().put_retained(message, SessionStore::WhenAway::kFail, std::move(done));
  });
}

Result<> SessionStoreContract::enqueue(FrontUnderTest& front, const std::string& payload) {
  return enqueue(front, delivery_of(0, payload));
}

std::vector<std::string> SessionStoreContract::ended() const {
  StoredSession all;
  for (const auto& front : {one.get(), two.get()}) {
    std::ranges::move(front->listener().ended(), std::back_inserter(all.deliveries));
  }
  return payloads_of(all);
}

Result<> SessionStoreContract::enqueue(FrontUnderTest& front, const mqtt::Delivery& delivery) {
  return wait_for<void>(front.loop(), [&](Done<void> done) {
    front.store().enqueue(key, delivery, std::move(done));
  });
}

void SessionStoreContract::keep(FrontUnderTest& front, Epoch epoch, StoredSession session,
                                std::uint32_t expiry_seconds) {
  SessionStore& store = front.store();
  const auto expect_done = [&](const std::function<void(Done<void>)>& call) {
    const auto result = wait_for<void>(front.loop(), call);
    EXPECT_TRUE(result) << result.error().message();
  };
  if (store.is_durable()) {
    for (const auto& subscription : session.subscriptions) {
      expect_done([&](Done<void> done) {
        store.put_subscription(key, epoch, subscription, std::move(done));
      });
    }
    for (const auto& delivery : session.deliveries) {
      mqtt::Delivery waiting = delivery;
      waiting.state = mqtt::Delivery::State::kWaiting;
      waiting.packet_id = 0;
      expect_done(
          [&](Done<void> done) { store.put_delivery(key, epoch, waiting, std::move(done)); });
      if (delivery.state != waiting.state) {
        front.loop().post()(
            [&store, this, epoch, delivery] { store.update_delivery(key, epoch, delivery); });
      }
    }
    for (const std::uint16_t id : session.inbound_qos2) {
      expect_done([&](Done<void> done) { store.put_inbound(key, epoch, id, std::move(done)); });
    }
  }
  Release all{.expiry_seconds = expiry_seconds, .session = std::move(session)};
  const auto released = release(front, epoch, std::move(all));
  EXPECT_TRUE(released) << released.error().message();
}

bool SessionStoreContract::eventually(const std::function<bool()>& holds) {
  return sluice::testing::eventually(
      [&] {
        under_test->step();
        return holds();
      },
      std::chrono::seconds(90));
}

}  // namespace sluice::front::testing
