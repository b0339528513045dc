// When a socket waits, with what, and for how long: one loop, real connections, fakes behind the
// broker.
#include "adapters/front_loop.h"
#include "testing/fake_ports.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/random.h>
#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/metrics/metrics.h>
#include <sluice/mqtt/encoder.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/shifted_clock.h>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;

constexpr int kPuback = 4;
constexpr int kSuback = 9;
constexpr int kPingresp = 13;
constexpr std::size_t kMostHandshakes = 4;

/// A client of MQTT 3.1.1 without TLS, which blocks.
class PlainDevice {
 public:
  explicit PlainDevice(const std::string& address)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    name.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    EXPECT_EQ(::connect(socket_.fd(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    EXPECT_EQ(::setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
  }

  void send_connect(std::string_view id, std::uint16_t keep_alive_seconds) {
    mqtt::Output bytes;
    encode(mqtt::Connect{.version = mqtt::Version::kV311,
                         .keep_alive_seconds = keep_alive_seconds,
                         .client_id = id,
                         .user_name = "",
                         .password = std::as_bytes(std::span(std::string_view("token")))},
           bytes);
    send(bytes);
  }
  /// As many, of QoS 1.
  void send_messages(int count) {
    mqtt::Output bytes;
    for (int i = 0; i < count; ++i) {
      encode(mqtt::Publish{.topic = "tenant/blue/device/meter/up/a",
                           .qos = mqtt::Qos::kAtLeastOnce,
                           .packet_id = ++last_packet_id_},
             mqtt::Version::kV311, bytes);
    }
    send(bytes);
  }
  void send_retained(int count) {
    mqtt::Output bytes;
    for (int i = 0; i < count; ++i) {
      encode(mqtt::Publish{.topic = "kept",
                           .qos = mqtt::Qos::kAtLeastOnce,
                           .retain = true,
                           .packet_id = ++last_packet_id_},
             mqtt::Version::kV311, bytes);
    }
    send(bytes);
  }
  void send_subscribe(std::string_view filter) {
    mqtt::FilterListBuilder filters(true, mqtt::Version::kV311);
    filters.add({.filter = filter});
    mqtt::Output bytes;
    encode(mqtt::Subscribe{.packet_id = 1, .filters = filters.view()}, mqtt::Version::kV311, bytes);
    send(bytes);
  }
  void read(std::size_t size) {
    std::vector<char> bytes(size);
    EXPECT_EQ(::recv(socket_.fd(), bytes.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
  }
  std::size_t read_what_is_there() {
    std::vector<char> bytes(65'536);
    std::size_t total = 0;
    while (true) {
      const auto size = ::recv(socket_.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (size <= 0) return total;
      total += static_cast<std::size_t>(size);
    }
  }
  void send_ping() { send({std::byte{0xC0}, std::byte{0}}); }
  void send_half_a_packet() { send({std::byte{0x30}}); }

  bool is_accepted() {
    std::array<char, 4> connack{};
    return ::recv(socket_.fd(), connack.data(), connack.size(), MSG_WAITALL) == 4 &&
           connack[3] == 0;
  }
  /// The type of the next packet that it gets, all of which are short; 0: none comes.
  int next_packet() {
    std::array<char, 5> bytes{};
    if (::recv(socket_.fd(), bytes.data(), 2, MSG_WAITALL) != 2) return 0;
    const auto size = static_cast<std::size_t>(bytes[1]);
    if (size > 3) return 0;
    if (size > 0) read(size);
    return (bytes[0] & 0xF0) >> 4;
  }
  bool hears_nothing() {
    char byte{};
    return ::recv(socket_.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }
  bool is_gone() {
    char byte{};
    return ::recv(socket_.fd(), &byte, 1, 0) <= 0 && errno != EAGAIN;
  }

 private:
  void send(const mqtt::Output& bytes) {
    EXPECT_EQ(::send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

  net::Socket socket_;
  std::uint16_t last_packet_id_ = 0;
};

class WaitingSockets : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.is_conformance_profile = !has_limits_;  // lets anybody in
    kafka_.create_topic("t", 1);
    plans_.push_back({.name = "mqtt", .address = "127.0.0.1:0", .connect_timeout = 60s});
    loop_ = *FrontLoop::create(
        {.clock = clock_, .registry = registry_, .plans = plans_, .admission = admission_});
    auto sink = std::make_unique<KafkaSink>(kafka_.producer({.max_in_flight_records = 20}), 20, 10);
    auto broker = std::make_unique<Broker>(options_, Broker::Ports{.clock = loop_->clock(),
                                                                   .random = random_,
                                                                   .sink = *sink,
                                                                   .authenticator = authenticator_,
                                                                   .store = store_,
                                                                   .neighbours = neighbours_,
                                                                   .routes = routes_,
                                                                   .retained = retained_,
                                                                   .observer = observer_,
                                                                   .metrics = metrics_,
                                                                   .topics = topics_,
                                                                   .admission = admission_,
                                                                   .tenant_buckets = buckets_,
                                                                   .tenant_limits = limits_,
                                                                   .loops = loops_});
    // Whoever belongs to another loop moves to it all the same.
    loop_->attach(std::move(sink), std::move(broker), {loops_, loop_.get()});
    const auto listening = loop_->listen(plans_);
    ASSERT_TRUE(listening) << listening.error().message();
    loop_->start();
  }
  void TearDown() override {
    empty_kafka();
    loop_->stop();
    tasks_.run();
    loop_->detach();
  }

  const std::string& address() const { return plans_[0].address; }
  /// Runs `work` on the loop and returns when it is done.
  void on_loop(std::move_only_function<void()> work) {
    std::promise<void> done;
    loop_->post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  /// Returns when what came before has been read.
  void take_turns() {
    for (int turns = 0; turns < 3; ++turns) on_loop([] {});
  }
  void put_forward(std::chrono::seconds by) {
    clock_.put_forward(by);
    take_turns();  // it may be asleep
  }
  void connect(PlainDevice& device, std::uint16_t keep_alive_seconds = 0,
               std::string_view id = "meter") {
    device.send_connect(id, keep_alive_seconds);
    ASSERT_TRUE(eventually([this] { return has_claimed(); }));
  }
  void let_in(PlainDevice& device, std::uint16_t keep_alive_seconds = 0) {
    connect(device, keep_alive_seconds);
    on_loop([this] { tasks_.run(); });
    ASSERT_TRUE(device.is_accepted());
  }
  bool has_ended(const std::string& why) {
    bool found = false;
    on_loop([&] { found = std::ranges::contains(observer_.events, why); });
    return found;
  }
  /// Until Kafka answers again, as many records are under way as may be while devices are read.
  void fill_kafka() {
    kafka_.hold_acks(true);
    on_loop([this] {
      while (!loop_->broker().is_full()) {
        loop_->broker().append_event({.topic = "t", .key = "k", .value = "v"});
      }
    });
  }
  void empty_kafka() { kafka_.hold_acks(false); }
  /// Messages until the client, which does not read, is as far behind as it may be. Returns their
  /// bytes.
  std::size_t fall_behind_with(std::string_view topic) {
    const mqtt::Message message{.topic = std::string(topic), .payload = std::string(65'536, 'x')};
    const std::size_t size = encoded_size(
        mqtt::Publish{.topic = message.topic, .payload = std::as_bytes(std::span(message.payload))},
        mqtt::Version::kV311);
    for (std::size_t sent = 0;; sent += size) {
      on_loop([&] {
        loop_->broker().publish("", std::make_shared<const mqtt::Message>(message),
                                [](const auto&) {});
      });
      take_turns();
      if (registry_.scrape().contains(R"(reason="slow_client"} 1)")) return sent;
    }
  }
  /// The loop does nothing until the result is destroyed.
  std::shared_ptr<void> hold_loop() {
    auto release = std::make_shared<std::promise<void>>();
    std::promise<void> holds;
    loop_->post([&holds, waits = release->get_future()]() mutable {
      holds.set_value();
      waits.wait();
    });
    holds.get_future().wait();
    return {nullptr, [release](void*) { release->set_value(); }};
  }
  /// The ports have answered, and the client has heard of it.
  bool is_told(PlainDevice& device) {
    return eventually([&] {
      on_loop([this] { tasks_.run(); });
      return !device.hears_nothing();
    });
  }
  std::size_t under_way() const { return admission_.handshakes(); }

  bool has_limits_ = false;
  std::size_t loops_ = 1;
  sluice::testing::ShiftedClock clock_;
  SystemRandom random_;
  Registry registry_;
  sluice::testing::FakeKafka kafka_{clock_};
  Tasks tasks_;
  FakeAuthenticator authenticator_{tasks_};
  FakeStore store_{tasks_};
  ingest::TopicMap topics_;
  std::unique_ptr<FrontLoop> loop_;

 private:
  bool has_claimed() {
    bool found = false;
    on_loop([&] {
      if (store_.calls.empty()) tasks_.run_one();  // who it is
      found = !store_.calls.empty();
    });
    return found;
  }

  FakeNeighbours neighbours_{tasks_};
  FakeObserver observer_;
  FrontMetrics metrics_{registry_};
  Routes routes_{1000, random_};
  RetainedMessages retained_{{}, random_};
  TenantBucketTable buckets_;
  TenantLimits::Settings limits_;
  ConnectionAdmission admission_{{.max_handshakes = kMostHandshakes}};
  Options options_;
  std::vector<ListenerPlan> plans_;
};

TEST_F(WaitingSockets, EndWithAClientThatFallsSilentWithinAPacket) {
  PlainDevice device(address());
  let_in(device, 10);
  device.send_half_a_packet();
  take_turns();
  put_forward(16s);
  EXPECT_TRUE(eventually([this] { return has_ended("ended /meter keep_alive_timeout"); }));
}

TEST_F(WaitingSockets, HoldMessagesAloneWhileKafkaHasNoRoom) {
  PlainDevice device(address());
  let_in(device);
  fill_kafka();
  device.send_ping();
  EXPECT_EQ(device.next_packet(), kPingresp);
  device.send_messages(1);
  device.send_ping();
  take_turns();
  EXPECT_TRUE(device.hears_nothing());
  empty_kafka();
  EXPECT_EQ(device.next_packet(), kPuback);
  EXPECT_EQ(device.next_packet(), kPingresp);
}

TEST_F(WaitingSockets, TakeWhatWaitedOnceTheirClientReadsAgain) {
  store_.durable = true;  // and answers when it is told to
  PlainDevice device(address());
  let_in(device);
  device.send_subscribe("much");
  ASSERT_TRUE(is_told(device));
  ASSERT_EQ(device.next_packet(), kSuback);
  device.send_retained(150);  // more than may be unanswered
  take_turns();
  std::size_t unread = fall_behind_with("much");
  on_loop([this] { tasks_.run(); });
  take_turns();
  {
    const auto held = hold_loop();  // so that it can then send all that is left at once
    unread -= device.read_what_is_there();
  }
  device.read(unread);
  for (int i = 0; i < 150; ++i) {
    ASSERT_TRUE(is_told(device)) << i;
    ASSERT_EQ(device.next_packet(), kPuback);
  }
}

TEST_F(WaitingSockets, LetClientsInWhileKafkaHasNoRoom) {
  fill_kafka();
  PlainDevice device(address());
  let_in(device);
  device.send_ping();
  EXPECT_EQ(device.next_packet(), kPingresp);
}

TEST_F(WaitingSockets, WithoutAWordGiveWayToAClient) {
  std::vector<std::unique_ptr<PlainDevice>> silent;
  for (std::size_t i = 0; i < kMostHandshakes; ++i) {
    silent.push_back(std::make_unique<PlainDevice>(address()));
    ASSERT_TRUE(eventually([&] { return under_way() == i + 1; }));
  }
  put_forward(1s);
  PlainDevice device(address());
  let_in(device);
  EXPECT_TRUE(silent.front()->is_gone());
  EXPECT_TRUE(silent.back()->hears_nothing());
}

/// Every client belongs to another loop than the one that it comes to.
class MovingSockets : public WaitingSockets {
 protected:
  MovingSockets() { loops_ = 2; }
  static std::string_view of_other_loop() {
    return loop_of(SessionKey("/a"), 2) == 1 ? "a" : loop_of(SessionKey("/b"), 2) == 1 ? "b" : "c";
  }
};

TEST_F(MovingSockets, HaveNoMoreTimeThanOthersUntilConnack) {
  PlainDevice device(address());
  ASSERT_TRUE(eventually([this] { return under_way() == 1; }));
  put_forward(50s);
  connect(device, 0, of_other_loop());
  EXPECT_EQ(under_way(), 1U);
  put_forward(20s);
  EXPECT_TRUE(eventually([this] { return under_way() == 0; }));
}

/// A device may send one message a second, and then owes for those it has sent.
class LimitedSockets : public WaitingSockets {
 protected:
  LimitedSockets() { has_limits_ = true; }
  void SetUp() override {
    Identity identity;
    identity.tenant = TenantId("blue");
    identity.device = DeviceId("meter");
    identity.session = session_key("blue", "meter");
    identity.limits = {.messages_per_second = 1, .bytes_per_second = 0};
    const std::vector<AccessRule> rules{
        {.action = AccessRule::Action::kPublish, .filter = "tenant/blue/device/meter/up/#"}};
    auto policy = AccessPolicy::compile(rules, topics_.spellings_of(identity.names()), {});
    ASSERT_TRUE(policy) << policy.error().message();
    identity.policy = *std::move(policy);
    authenticator_.identities["meter"] = std::make_shared<const Identity>(std::move(identity));
    WaitingSockets::SetUp();
  }
  /// Lets it in with a keep-alive of 20 s, and in debt for a minute.
  void let_in_and_publish(PlainDevice& device) {
    let_in(device, 20);
    device.send_messages(60);
    for (int i = 0; i < 60; ++i) ASSERT_EQ(device.next_packet(), kPuback);
  }
};

TEST_F(LimitedSockets, AnswerPingsWhateverIsOwed) {
  PlainDevice device(address());
  let_in_and_publish(device);
  device.send_ping();
  EXPECT_EQ(device.next_packet(), kPingresp);
}

TEST_F(LimitedSockets, HoldAMessageNoLongerThanTheConnectionBears) {
  PlainDevice device(address());
  let_in_and_publish(device);
  device.send_messages(2);
  device.send_ping();
  take_turns();
  EXPECT_TRUE(device.hears_nothing());
  put_forward(10s);
  EXPECT_EQ(device.next_packet(), kPuback);
  take_turns();
  EXPECT_TRUE(device.hears_nothing()) << "one message, as it owes more than before";
  put_forward(10s);
  EXPECT_EQ(device.next_packet(), kPuback);
  EXPECT_EQ(device.next_packet(), kPingresp);
}

// What waits at the end: wills, events.
TEST_F(WaitingSockets, LeaveNothingForKafkaBehindWhenTheirLoopHasStopped) {
  fill_kafka();
  on_loop([this] {
    for (int i = 0; i < 50; ++i) {
      loop_->broker().append_event({.topic = "t", .key = "k", .value = "late"});
    }
  });
  loop_->stop();
  EXPECT_EQ(loop_->flush_records(clock_.mono()), 60U) << "10 in the producer or about, 50 behind";
  empty_kafka();
  EXPECT_EQ(loop_->flush_records(clock_.mono() + 10s), 0U);
  EXPECT_EQ(kafka_.records("t").size(), 60U);
}

}  // namespace
}  // namespace sluice::front::testing
