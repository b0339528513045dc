#include "testing/test_front.h"

#include <algorithm>
#include <format>
#include <utility>

#include <sluice/mqtt/decoder.h>
#include <sluice/mqtt/encoder.h>

#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

std::string describe_publish(const mqtt::Publish& publish) {
  std::string text = std::format("publish {} q{}", publish.topic, static_cast<int>(publish.qos));
  if (publish.packet_id != 0) text += std::format(" #{}", publish.packet_id);
  if (publish.dup) text += " dup";
  if (publish.retain) text += " retain";
  std::string ids;
  publish.properties.subscription_ids.for_each(
      [&](std::uint32_t id) { ids += (ids.empty() ? "" : ",") + std::to_string(id); });
  if (!ids.empty()) text += " ids=" + ids;
  const std::string_view payload(reinterpret_cast<const char*>(publish.payload.data()),
                                 publish.payload.size());
  return text + std::format(" '{}'", payload);
}

std::string code(mqtt::ReasonCode reason) {
  return std::format("0x{:02X}", static_cast<unsigned>(reason));
}

std::string describe(const mqtt::Frame& frame, mqtt::Version version) {
  const std::string name(mqtt::to_string(frame.type));
  switch (frame.type) {
    case mqtt::PacketType::kConnack: {
      const auto packet = mqtt::decode_connack(frame, version).value();
      std::string text = "connack " + code(packet.reason);
      if (packet.session_present) text += " present";
      if (!packet.assigned_client_id.empty()) {
        text += " id=" + std::string(packet.assigned_client_id);
      }
      if (packet.session_expiry_seconds) {
        text += std::format(" expiry={}", *packet.session_expiry_seconds);
      }
      if (packet.server_keep_alive_seconds) {
        text += std::format(" keep_alive={}", *packet.server_keep_alive_seconds);
      }
      return text;
    }
    case mqtt::PacketType::kPublish:
      return describe_publish(mqtt::decode_publish(frame, version).value());
    case mqtt::PacketType::kPuback:
    case mqtt::PacketType::kPubrec:
    case mqtt::PacketType::kPubrel:
    case mqtt::PacketType::kPubcomp: {
      const auto ack = mqtt::decode_ack(frame, version).value();
      std::string text = std::format("{} {}", name, ack.packet_id);
      if (ack.reason != mqtt::ReasonCode::kSuccess) text += " " + code(ack.reason);
      return text;
    }
    case mqtt::PacketType::kSuback:
    case mqtt::PacketType::kUnsuback: {
      const auto ack = mqtt::decode_filter_ack(frame, version).value();
      std::string text = name;
      for (const auto reason : ack.reasons) text += " " + code(reason);
      return text;
    }
    case mqtt::PacketType::kDisconnect:
      return name + " " + code(mqtt::decode_disconnect(frame, version).value().reason);
    default:
      return name;
  }
}

}  // namespace

TestClient::TestClient(TestFront& front, Peer peer)
    : front_(&front), client_(&front.broker->open(*this, std::move(peer))) {
  hello.user_name = "device";  // without which MQTT 3 has no password, [MQTT-3.1.2-22]
  hello.password = std::as_bytes(std::span(std::string_view("sld_token")));
  front.clients_.push_back(this);
}

TestClient::~TestClient() {
  if (client_ != nullptr) std::exchange(client_, nullptr)->on_gone("test_over");
  std::erase(front_->clients_, this);
}

TestClient& TestClient::connect(std::string_view client_id) {
  hello.client_id = client_id;
  return connect();
}

TestClient& TestClient::connect() {
  send_connect();
  front_->settle();
  return *this;
}

void TestClient::send_connect() {
  version_ = hello.version;
  mqtt::Output bytes;
  mqtt::encode(hello, bytes);
  send(bytes);
}

TestClient& TestClient::publish(std::string_view topic, std::string_view payload, mqtt::Qos qos,
                                std::uint16_t packet_id, bool retain) {
  return publish({.topic = topic,
                  .payload = std::as_bytes(std::span(payload)),
                  .qos = qos,
                  .retain = retain,
                  .packet_id = packet_id});
}

TestClient& TestClient::publish(const mqtt::Publish& packet) {
  mqtt::Output bytes;
  mqtt::encode(packet, version_, bytes);
  send(bytes);
  return *this;
}

TestClient& TestClient::subscribe(std::string_view filter, mqtt::Qos qos) {
  return subscribe({{.filter = filter, .qos = qos}});
}

TestClient& TestClient::subscribe(std::vector<mqtt::Subscription> subscriptions, std::uint32_t id) {
  mqtt::FilterListBuilder filters(true, version_);
  for (const auto& subscription : subscriptions) filters.add(subscription);
  mqtt::Subscribe packet{.packet_id = next_packet_id_++, .filters = filters.view()};
  if (id != 0) packet.subscription_id = id;
  mqtt::Output bytes;
  mqtt::encode(packet, version_, bytes);
  send(bytes);
  front_->settle();
  return *this;
}

TestClient& TestClient::unsubscribe(std::string_view filter) {
  mqtt::FilterListBuilder filters(false, version_);
  filters.add({.filter = filter});
  mqtt::Output bytes;
  mqtt::encode(mqtt::Unsubscribe{.packet_id = next_packet_id_++, .filters = filters.view()},
               version_, bytes);
  send(bytes);
  front_->settle();
  return *this;
}

TestClient& TestClient::acknowledge(mqtt::PacketType type, std::uint16_t packet_id) {
  mqtt::Output bytes;
  mqtt::encode(mqtt::Ack{.type = type, .packet_id = packet_id}, version_, bytes);
  send(bytes);
  return *this;
}

void TestClient::disconnect(mqtt::ReasonCode reason,
                            std::optional<std::uint32_t> session_expiry_seconds) {
  mqtt::Output bytes;
  mqtt::encode(mqtt::Disconnect{.reason = reason, .session_expiry_seconds = session_expiry_seconds},
               version_, bytes);
  send(bytes);
  front_->settle();
}

void TestClient::lose() {
  is_closed_ = true;
  if (client_ != nullptr) std::exchange(client_, nullptr)->on_gone("connection_lost");
}

void TestClient::send(const mqtt::Output& bytes) {
  unread_.insert(unread_.end(), bytes.begin(), bytes.end());
  turn();
}

void TestClient::turn() {
  if (client_ == nullptr) return;
  if (!unread_.empty() && client_->wants_bytes() && !closes_) {
    const std::size_t taken = client_->on_bytes(front_->clock.mono(), unread_);
    unread_.erase(unread_.begin(), unread_.begin() + static_cast<std::ptrdiff_t>(taken));
  }
  if (is_slow || (!has_output_ && !closes_)) return;
  take_output();
  if (closes_) {
    is_closed_ = true;
    return std::exchange(client_, nullptr)->on_gone("closed");
  }
  client_->on_writable(front_->clock.mono());
  take_output();
}

void TestClient::take_output() {
  has_output_ = false;
  mqtt::Output& output = client_->output();
  received_.insert(received_.end(), output.begin(), output.end());
  output.clear();
}

void TestClient::move_to(TestFront& other) {
  Departure departure = front_->broker->depart(*client_);
  std::erase(front_->clients_, this);
  front_ = &other;
  other.clients_.push_back(this);
  client_ = &other.broker->arrive(*this, std::move(departure));
  other.broker->claim(*client_);
  other.settle();
}

std::vector<std::string> TestClient::received() {
  turn();
  std::vector<std::string> packets;
  std::span<const std::byte> rest = received_;
  while (!rest.empty()) {
    const auto frame = mqtt::next_frame(rest, mqtt::kMaxRemainingLength);
    if (!frame || !*frame) {
      ADD_FAILURE() << "the output is no row of packets";
      break;
    }
    packets.push_back(describe(**frame, version_));
    rest = rest.subspan((*frame)->size);
  }
  received_.clear();
  return packets;
}

TestFront::TestFront(Options o, Setup setup)
    : admission({.client_connects = setup.client_connects,
                 .flapping_disconnects = setup.flapping_disconnects}),
      options(std::move(o)) {
  store.durable = setup.is_durable;
  options.max_keep_alive_seconds = 0;  // so that CONNACK says only what a test asks about
  broker = std::make_unique<Broker>(options, Broker::Ports{.clock = clock,
                                                           .random = random,
                                                           .sink = sink,
                                                           .authenticator = authenticator,
                                                           .store = store,
                                                           .neighbours = neighbours,
                                                           .routes = routes,
                                                           .retained = retained,
                                                           .observer = observer,
                                                           .metrics = metrics,
                                                           .topics = topics,
                                                           .admission = admission,
                                                           .tenant_buckets = tenant_buckets,
                                                           .tenant_limits = tenant_limits,
                                                           .loop = setup.loop,
                                                           .loops = setup.loops});
  store.on_retained_put = [this](const mqtt::MessagePtr& message) {
    const StoredName name = split_stored_name(message->topic);
    mqtt::Message unnamed = *message;
    unnamed.topic = std::string(name.topic);
    retained.learn(name.tenant, std::make_shared<const mqtt::Message>(std::move(unnamed)));
  };
  store.on_retained_removed = [this](const std::string& topic) {
    const StoredName name = split_stored_name(topic);
    retained.remove(name.tenant, name.topic);
  };
  store.on_ended = [this](const SessionKey& key, const std::vector<mqtt::Delivery>& shared) {
    broker->on_session_ended(key, shared);
  };
}

/// Whatever a test did: once everything has come back, nothing may be left of clients that went.
TestFront::~TestFront() {
  for (TestClient* client : std::vector(clients_)) client->lose();
  store.failures.clear();  // else what is tried again would be so for ever
  clock.advance(std::chrono::seconds(1));
  settle();
  sink.room = 1'000'000;
  sink.refuses.reset();
  for (int round = 0; round < 5; ++round) {
    broker->retry_records();
    complete();
  }
  EXPECT_EQ(broker->streams(), 0U) << "clients that were never freed";
  EXPECT_EQ(broker->clients(), 0U) << "sessions that were never released";
  EXPECT_EQ(store.answers_due, 0U);
}

void TestFront::add_device(const std::string& device, const std::vector<AccessRule>& rules,
                           const DeviceLimits& limits) {
  Identity identity;
  identity.tenant = TenantId("blue");
  identity.device = DeviceId(device);
  identity.external_id = "press-" + device;
  identity.fleet = "north";
  identity.device_class = DeviceClassId("meter");
  identity.schema_id = "meter-v1";
  identity.session = session_key("blue", device);
  identity.limits = limits;
  std::vector<AccessRule> all = rules;
  for (const char* up : {"telemetry/#", "events/+", "commands/+/accepted", "commands/+/result",
                         "shadow/#", "jobs/#", "up/#"}) {
    all.push_back({.action = AccessRule::Action::kPublish,
                   .filter = own(device, up),
                   .may_retain = std::string_view(up) == "up/#"});
  }
  for (const char* down : {"commands/#", "shadow/#", "jobs/#", "down/#", "up/#"}) {
    all.push_back({.action = AccessRule::Action::kSubscribe, .filter = own(device, down)});
  }
  auto policy = AccessPolicy::compile(all, topics.spellings_of(identity.names()), {});
  ASSERT_TRUE(policy) << policy.error().message();
  identity.policy = *std::move(policy);
  const auto shared = std::make_shared<const Identity>(std::move(identity));
  authenticator.identities[device] = shared;
  authenticator.identities["press-" + device] = shared;
}

void TestFront::revoke(const std::string& device) {
  broker->on_change({.scope = DeviceChange::Scope::kDevice,
                     .tenant = "blue",
                     .name = device,
                     .revision = 9,
                     .end_reason = "device_revoked"});
}

void TestFront::settle() {
  for (int round = 0; round < 3; ++round) {
    tasks.run();
    broker->run_due();
    for (TestClient* client : std::vector(clients_)) client->turn();
  }
  tasks.run();
}

void TestFront::complete(bool is_stored) {
  for (std::size_t index = 0; index < sink.records.size(); ++index) complete_one(index, is_stored);
  settle();
}

void TestFront::complete_one(std::size_t index, bool is_stored) {
  if (std::exchange(sink.records.at(index).is_answered, true)) return;
  const Broker::Stored stored{.token = sink.records.at(index).token, .is_stored = is_stored};
  broker->on_stored({&stored, 1});
}

std::uint64_t TestFront::dropped(const std::string& reason) {
  return registry
      .counter("sluice_mqtt_dropped_total", "Messages not passed on, by reason.",
               {{"reason", reason}})
      .value();
}

std::string TestFront::own(std::string_view device, std::string_view suffix) {
  return std::format("tenant/blue/device/{}/{}", device, suffix);
}

}  // namespace sluice::front::testing
