// When a socket waits, with what, and for how long: one loop, real connections, fakes behind the
// broker.
#include "testing/one_loop.h"

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/planted_bug.h>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;

constexpr int kPuback = 4;
constexpr int kSuback = 9;
constexpr int kPingresp = 13;
constexpr std::size_t kMostHandshakes = 4;
// By so much less than the core lets a client fall behind that one which is has more than this
// unsent, although the kernel took some.
constexpr std::size_t kMaxUnsent = 128 * 1024;

class WaitingSockets : public OneLoop {
 protected:
  void SetUp() override { start(setup()); }
  static Setup setup() {
    return {.options = {.is_conformance_profile = true},  // lets anybody in
            .plans = {{.name = "mqtt",
                       .address = "127.0.0.1:0",
                       .connect_timeout = 60s,
                       .max_output = kMaxUnsent}},
            .admission = {.max_handshakes = kMostHandshakes},
            .record_room = 20};
  }

  /// Until Kafka answers again, as many records are under way as may be while devices are read.
  void fill_kafka() {
    kafka_.create_topic("t", 1);
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
      settle();
      if (registry_.scrape().contains(R"(reason="slow_client"} 1)")) return sent;
    }
  }
  /// The client reads again when all but what it has sent and was not taken yet, a part of 150
  /// messages, has been answered.
  void fall_behind_and_read_again(PlainDevice& device) {
    store_.durable = true;  // and answers when it is told to
    device.send_subscribe("much");
    ASSERT_TRUE(is_told(device));
    ASSERT_EQ(device.next_packet(), kSuback);
    device.send_retained(150);  // more than may be unanswered
    settle();
    std::size_t unread = fall_behind_with("much");
    on_loop([this] { tasks_.run(); });
    settle();
    on_loop([this] { EXPECT_LT(store_.calls.size(), 150U) << "or nothing waits"; });
    {
      const auto held = hold_loop();  // so that it can then send all that is left at once
      unread -= device.read_what_is_there();
    }
    device.read(unread);
  }
  /// The ports have answered, and the client has heard of it.
  bool is_told(PlainDevice& device) {
    return eventually([&] {
      on_loop([this] { tasks_.run(); });
      return !device.hears_nothing();
    });
  }
};

TEST_F(WaitingSockets, EndWithAClientThatFallsSilentWithinAPacket) {
  PlainDevice device(address());
  let_in(device, {.keep_alive_seconds = 10});
  device.send_half_a_packet();
  settle();
  put_forward(16s);
  EXPECT_TRUE(eventually([this] { return has_ended("keep_alive_timeout"); }));
}

TEST_F(WaitingSockets, HoldMessagesAloneWhileKafkaHasNoRoom) {
  PlainDevice device(address());
  let_in(device);
  fill_kafka();
  device.send_ping();
  EXPECT_EQ(device.next_packet(), kPingresp);
  device.send_messages(1);
  device.send_ping();
  settle();
  EXPECT_TRUE(device.hears_nothing());
  empty_kafka();
  EXPECT_EQ(device.next_packet(), kPuback);
  EXPECT_EQ(device.next_packet(), kPingresp);
}

TEST_F(WaitingSockets, TakeWhatWaitedOnceTheirClientReadsAgain) {
  PlainDevice device(address());
  let_in(device);
  fall_behind_and_read_again(device);
  for (int i = 0; i < 150; ++i) {
    ASSERT_TRUE(is_told(device)) << i;
    ASSERT_EQ(device.next_packet(), kPuback);
  }
}

TEST_F(WaitingSockets, ThatForgetWhatWaitedWouldBeSeen) {
  const ScopedPlantedBug bug("front_forgets_who_reads_again");
  PlainDevice device(address());
  let_in(device);
  fall_behind_and_read_again(device);
  for (int turns = 0; turns < 10; ++turns) on_loop([this] { tasks_.run(); });
  on_loop([this] { EXPECT_LT(store_.calls.size(), 150U); });
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
  void SetUp() override {
    Setup moving = setup();
    moving.loops = 2;
    start(std::move(moving));
  }
  static std::string_view of_other_loop() {
    return loop_of(SessionKey("/a"), 2) == 1 ? "a" : loop_of(SessionKey("/b"), 2) == 1 ? "b" : "c";
  }
};

TEST_F(MovingSockets, HaveNoMoreTimeThanOthersUntilConnack) {
  PlainDevice device(address());
  ASSERT_TRUE(eventually([this] { return under_way() == 1; }));
  put_forward(50s);
  connect(device, {.id = of_other_loop()});
  EXPECT_EQ(under_way(), 1U);
  put_forward(20s);
  EXPECT_TRUE(eventually([this] { return under_way() == 0; }));
}

/// A device may send one message a second, and then owes for those it has sent.
class LimitedSockets : public WaitingSockets {
 protected:
  void SetUp() override {
    Identity identity;
    identity.tenant = TenantId("blue");
    identity.device = DeviceId("meter");
    identity.session = session_key("blue", "meter");
    identity.limits = {.messages_per_second = 1, .bytes_per_second = 0};
    const std::vector<AccessRule> rules{
        {.action = AccessRule::Action::kPublish, .filter = "tenant/blue/device/meter/#"}};
    auto policy = AccessPolicy::compile(rules, topics_.spellings_of(identity.names()), {});
    ASSERT_TRUE(policy) << policy.error().message();
    identity.policy = *std::move(policy);
    authenticator_.identities["meter"] = std::make_shared<const Identity>(std::move(identity));
    Setup limited = setup();
    limited.options.is_conformance_profile = false;
    start(std::move(limited));
  }
  /// Lets it in with a keep-alive of 20 s, and in debt for a minute.
  void let_in_and_publish(PlainDevice& device) {
    let_in(device, {.keep_alive_seconds = 20});
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
  settle();
  EXPECT_TRUE(device.hears_nothing());
  put_forward(10s);
  EXPECT_EQ(device.next_packet(), kPuback);
  settle();
  EXPECT_TRUE(device.hears_nothing()) << "one message, as it owes more than before";
  put_forward(10s);
  EXPECT_EQ(device.next_packet(), kPuback);
  EXPECT_EQ(device.next_packet(), kPingresp);
}

/// Whether the store knows of a QoS 2 publish that Kafka takes once its loop has stopped.
class StoppedSockets : public LimitedSockets {
 protected:
  bool is_known() {
    kafka_.create_topic("telemetry.raw", 1);
    store_.durable = true;
    PlainDevice device(address());
    let_in(device, {.is_clean = false});
    kafka_.hold_acks(true);
    device.send_exactly_once();
    EXPECT_TRUE(eventually([this] {
      std::size_t under_way = 0;
      on_loop([&] { under_way = loop_->sink().in_flight(); });
      return under_way == 1;
    }));
    on_loop([this] { EXPECT_EQ(loop_->unsettled(), 2U) << "the session and its record"; });
    loop_->stop();
    kafka_.hold_acks(false);
    EXPECT_EQ(loop_->flush_records(clock_.mono() + 10s), 0U);
    return store_.calls.back() == "put_inbound 1";
  }
};

TEST_F(StoppedSockets, TellTheStoreOfAPublishThatKafkaHasTaken) { EXPECT_TRUE(is_known()); }

TEST_F(StoppedSockets, ThatTellNobodyWouldBeSeen) {
  const ScopedPlantedBug bug("front_leaves_qos2_half_done");
  EXPECT_FALSE(is_known());
}

TEST_F(WaitingSockets, HaveNothingUnsettledOnceTheirConnectionsWereEnded) {
  PlainDevice device(address());
  let_in(device);
  on_loop([this] { EXPECT_EQ(loop_->unsettled(), 1U); });
  loop_->end_connections();
  EXPECT_TRUE(device.is_at_end());
  on_loop([this] { tasks_.run(); });
  on_loop([this] { EXPECT_EQ(loop_->unsettled(), 0U); });
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
