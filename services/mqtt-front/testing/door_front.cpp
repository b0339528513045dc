#include "testing/door_front.h"

#include "core/identity.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include <sluice/device/v1/device_registry.pb.h>
#include <sluice/mqtt/encoder.h>

namespace sluice::front::testing {
namespace {

class Sink final : public RecordSink {
 public:
  Result<> try_append(const Record&, std::uint64_t) override { return {}; }
  std::int32_t partition_of(std::string_view, std::string_view) override { return -1; }
  bool is_full() const override { return false; }
};

/// Until others are set.
class NoNeighbours final : public Neighbours {
 public:
  void deliver(const SessionKey& key, Parcel parcel, Done<Outcome> done) override {
    if (to != nullptr) return to->deliver(key, std::move(parcel), std::move(done));
    done(fail(ErrorCode::kUnavailable, "no neighbours"));
  }
  void forward(const SessionStore::Owned& owner, const SessionKey& key, Parcel parcel,
               Done<Outcome> done) override {
    ++forwarded;
    if (to != nullptr) return to->forward(owner, key, std::move(parcel), std::move(done));
    done(fail(ErrorCode::kUnavailable, "no neighbours"));
  }
  void release(const SessionStore::Owned& owner, const SessionKey& key, Done<void> done) override {
    if (to != nullptr) return to->release(owner, key, std::move(done));
    done(fail(ErrorCode::kUnavailable, "no neighbours"));
  }

  void reset_profile(Done<void> done) override {
    if (to != nullptr) return to->reset_profile(std::move(done));
    done({});
  }

  Neighbours* to = nullptr;
  std::atomic<std::size_t> forwarded{0};
};

class Observer final : public ClientObserver {
  void on_opened(const Client&, std::uint64_t, std::string_view) override {}
  void on_ended(const Client&, std::uint64_t, std::string_view) override {}
  void on_refused(const Peer&, std::string_view, mqtt::ReasonCode, std::string_view) override {}
};

/// A device's stream: keeps what it was sent.
class Device final : public Link {
 public:
  void send_soon() override { take(); }
  void close_soon() override {
    take();
    is_open = false;
  }
  bool has_unsent() const override { return false; }
  void read_again() override {}
  void pause_until(MonoTime) override {}
  void move_soon(std::size_t) override {}

  void take() {
    for (const std::byte byte : client->output()) sent.push_back(static_cast<char>(byte));
    client->output().clear();
  }

  Client* client = nullptr;
  std::string sent{};
  bool is_open = true;
};

}  // namespace

struct DoorFront::Shared {
  explicit Shared(const Clock& used) : clock(used) { tenant_limits.default_rates = {}; }

  const Clock& clock;
  SystemRandom random{};
  Options options{};
  Routes routes{1000, random};
  RetainedMessages retained{{}, random};
  ConnectionAdmission admission{{.client_connects = Rate(1'000'000, 1'000'000)}};
  TenantBucketTable tenant_buckets{};
  TenantLimits::Settings tenant_limits{};

  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  bool is_held = false;
  bool holds_claims = false;
  std::map<SessionKey, SessionStore::Place> places{};
  std::atomic<std::size_t> enqueued{0};
  std::atomic<bool> refuses_deliveries{false};
};

struct DoorFront::Loop final : private SessionStore, private Authenticator {
  Loop(Shared& with, Registry& registry, const ingest::TopicMap& topic_map, std::size_t index,
       std::size_t count)
      : shared(with),
        topics(topic_map),
        metrics(registry),
        broker(with.options, {.clock = with.clock,
                              .random = with.random,
                              .sink = sink,
                              .authenticator = *this,
                              .store = *this,
                              .neighbours = neighbours,
                              .routes = with.routes,
                              .retained = with.retained,
                              .observer = observer,
                              .metrics = metrics,
                              .topics = topic_map,
                              .admission = with.admission,
                              .tenant_buckets = with.tenant_buckets,
                              .tenant_limits = with.tenant_limits,
                              .loop = index,
                              .loops = count}) {}

  void run(const std::stop_token& stop) {
    std::unique_lock lock(shared.mutex);
    while (true) {
      shared.changed.wait(
          lock, [&] { return stop.stop_requested() || (!tasks.empty() && !shared.is_held); });
      if (stop.stop_requested()) return;
      Task task = std::move(tasks.front());
      tasks.pop_front();
      lock.unlock();
      task(broker);
      task = nullptr;
      lock.lock();
    }
  }

  void post(Task task) {
    const std::lock_guard lock(shared.mutex);
    tasks.push_back(std::move(task));
    shared.changed.notify_all();
  }

  template <typename T>
  void answer(Done<T> done, Result<T> result) {
    post([done = std::move(done), result = std::move(result)](Broker&) mutable {
      done(std::move(result));
    });
  }

  // Authenticator
  void authenticate(device::v1::AuthenticateRequest request, Done<Verdict> done) override {
    device::v1::DeviceIdentity identity;
    identity.set_tenant("acme");
    identity.set_device(request.claimed_device());
    identity.set_device_class("meter");
    identity.set_status(device::v1::DEVICE_STATUS_ACTIVE);
    identity.set_credential_id("c1");
    identity.set_revision(7);
    device::v1::TopicRule& rule = *identity.add_rules();
    rule.set_action(device::v1::TOPIC_ACTION_SUBSCRIBE);
    rule.set_topic("tenant/acme/device/" + request.claimed_device() + "/#");
    rule.set_max_qos(1);
    auto made = make_identity(identity, {.topics = topics});
    if (!made) return answer(std::move(done), Result<Verdict>(fail(std::move(made).error())));
    answer(std::move(done), Result<Verdict>(Verdict{.identity = *std::move(made)}));
  }

  // SessionStore
  bool is_durable() const override { return shared.refuses_deliveries; }
  void claim(const SessionKey&, ClaimRequest, Done<ClaimOutcome> done) override {
    const auto finish = [this](Done<ClaimOutcome> claimed) {
      answer(std::move(claimed), Result<ClaimOutcome>({.claim = {.epoch = Epoch(++epoch)}}));
    };
    {
      const std::lock_guard lock(shared.mutex);
      if (shared.holds_claims) return held_claims.push_back(std::move(done));
    }
    finish(std::move(done));
  }
  void finish_claims() {
    for (auto& done : std::exchange(held_claims, {})) {
      answer(std::move(done), Result<ClaimOutcome>({.claim = {.epoch = Epoch(++epoch)}}));
    }
  }
  void release(const SessionKey&, Epoch, Release, Done<void> done) override {
    answer(std::move(done), Result<>());
  }
  void put_subscription(const SessionKey&, Epoch, const StoredSubscription&,
                        Done<void> done) override {
    answer(std::move(done), Result<>());
  }
  void remove_subscription(const SessionKey&, Epoch, std::string_view, std::string_view,
                           Done<void> done) override {
    answer(std::move(done), Result<>());
  }
  void put_delivery(const SessionKey&, Epoch, const mqtt::Delivery&, Done<void> done) override {
    answer(std::move(done), Result<>(fail(ErrorCode::kUnavailable, "no store")));
  }
  void update_delivery(const SessionKey&, Epoch, const mqtt::Delivery&) override {}
  void remove_delivery(const SessionKey&, Epoch, std::uint64_t) override {}
  void put_inbound(const SessionKey&, Epoch, std::uint16_t, Done<void> done) override {
    answer(std::move(done), Result<>());
  }
  void remove_inbound(const SessionKey&, Epoch, std::uint16_t, Done<void> done) override {
    answer(std::move(done), Result<>());
  }
  void locate(const SessionKey& key, Done<Place> done) override {
    Place place;
    {
      const std::lock_guard lock(shared.mutex);
      if (const auto found = shared.places.find(key); found != shared.places.end()) {
        place = found->second;
      }
    }
    answer(std::move(done), Result<Place>(std::move(place)));
  }
  void remove_ended(const SessionKey&, std::uint64_t) override {}
  void enqueue(const SessionKey&, const mqtt::Delivery&, Done<void> done) override {
    ++shared.enqueued;
    answer(std::move(done), Result<>());
  }
  void put_wide(const SessionKey&, Epoch, const StoredSubscription&, Done<void> done) override {
    answer(std::move(done), Result<>());
  }
  void remove_wide(const SessionKey&, std::string_view, std::string_view,
                   Done<void> done) override {
    answer(std::move(done), Result<>());
  }
  void put_retained(const mqtt::MessagePtr&, WhenAway, Done<void> done) override {
    answer(std::move(done), Result<>());
  }
  void remove_retained(std::string_view, WhenAway, Done<void> done) override {
    answer(std::move(done), Result<>());
  }

  Shared& shared;
  const ingest::TopicMap& topics;
  Sink sink{};
  NoNeighbours neighbours{};
  Observer observer{};
  FrontMetrics metrics;
  std::uint64_t epoch = 0;
  std::vector<Done<ClaimOutcome>> held_claims{};
  std::map<std::string, Device> devices{};
  Broker broker;
  std::deque<Task> tasks{};  // guarded by the shared mutex
  std::jthread thread{};
};

DoorFront::DoorFront(std::size_t loops, const Clock& clock)
    : shared_(std::make_unique<Shared>(clock)) {
  for (std::size_t i = 0; i < loops; ++i) {
    loops_.push_back(std::make_unique<Loop>(*shared_, registry, topics, i, loops));
  }
  for (auto& loop : loops_) {
    loop->thread = std::jthread([&loop](const std::stop_token& stop) { loop->run(stop); });
  }
}

DoorFront::~DoorFront() {
  for (auto& loop : loops_) {
    const std::lock_guard lock(shared_->mutex);
    loop->thread.request_stop();
    shared_->changed.notify_all();
  }
  for (auto& loop : loops_) loop->thread.join();
}

std::size_t DoorFront::size() const { return loops_.size(); }

void DoorFront::post(std::size_t loop, Task task) { loops_[loop]->post(std::move(task)); }

std::vector<std::function<void(DoorFront::Task)>> DoorFront::posts() {
  std::vector<std::function<void(Task)>> posts;
  for (auto& loop : loops_) {
    posts.emplace_back([&loop](Task task) { loop->post(std::move(task)); });
  }
  return posts;
}

void DoorFront::hold() {
  const std::lock_guard lock(shared_->mutex);
  shared_->is_held = true;
}

void DoorFront::release() {
  const std::lock_guard lock(shared_->mutex);
  shared_->is_held = false;
  shared_->changed.notify_all();
}

void DoorFront::settle() {
  for (std::size_t i = 0; i < size(); ++i) {
    ask<int>(i, [](Broker&) { return 0; });
  }
}

void DoorFront::set_neighbours(std::size_t loop, Neighbours& neighbours) {
  loops_[loop]->neighbours.to = &neighbours;
}

void DoorFront::place(const SessionKey& key, SessionStore::Place place) {
  const std::lock_guard lock(shared_->mutex);
  shared_->places[key] = std::move(place);
}

void DoorFront::refuse_deliveries() { shared_->refuses_deliveries = true; }

void DoorFront::hold_claims() {
  const std::lock_guard lock(shared_->mutex);
  shared_->holds_claims = true;
}

void DoorFront::finish_claims() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->holds_claims = false;
  }
  for (auto& loop : loops_) {
    loop->post([&loop](Broker&) { loop->finish_claims(); });
  }
  settle();
}

std::size_t DoorFront::loop_of(std::string_view device) const {
  return front::loop_of(key_of(device), loops_.size());
}

void DoorFront::connect(const std::string& device, const Hello& hello) {
  mqtt::Output bytes;
  const std::string token = "token";
  mqtt::encode(mqtt::Connect{.client_id = device,
                             .user_name = device,
                             .password = std::as_bytes(std::span(token)),
                             .session_expiry_seconds = hello.session_expiry_seconds,
                             .receive_maximum = hello.receive_maximum},
               bytes);
  Loop& loop = *loops_[loop_of(device)];
  const auto say = [&](const mqtt::Output& said) {
    ask<int>(loop_of(device), [&](Broker& broker) {
      Device& link = loop.devices[device];
      if (link.client == nullptr) link.client = &broker.open(link, {.address = "192.0.2.1"});
      link.client->on_bytes(shared_->clock.mono(), said);
      return 0;
    });
    // What it was answered came through the loop, one step after the other.
    for (int step = 0; step < 4; ++step) settle();
  };
  say(bytes);
  bytes.clear();
  mqtt::FilterListBuilder filters(true, mqtt::Version::kV5);
  const std::string filter = "tenant/acme/device/" + device + "/commands/#";
  filters.add({.filter = filter, .qos = mqtt::Qos::kAtLeastOnce});
  mqtt::encode(mqtt::Subscribe{.packet_id = 1, .filters = filters.view()}, mqtt::Version::kV5,
               bytes);
  say(bytes);
}

bool DoorFront::is_connected(const std::string& device) {
  Loop& loop = *loops_[loop_of(device)];
  return ask<bool>(loop_of(device), [&](Broker&) {
    const auto found = loop.devices.find(device);
    return found != loop.devices.end() && found->second.is_open;
  });
}

std::string DoorFront::output_of(const std::string& device) {
  Loop& loop = *loops_[loop_of(device)];
  return ask<std::string>(loop_of(device), [&](Broker&) { return loop.devices[device].sent; });
}

bool DoorFront::was_sent(const std::string& device, std::string_view text) {
  return output_of(device).contains(text);
}

std::size_t DoorFront::enqueued() const { return shared_->enqueued; }

std::size_t DoorFront::forwarded() const {
  std::size_t count = 0;
  for (const auto& loop : loops_) count += loop->neighbours.forwarded;
  return count;
}

}  // namespace sluice::front::testing
