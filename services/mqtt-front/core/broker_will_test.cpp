#include "testing/test_front.h"

#include <array>

#include <sluice/telemetry/v1/raw_message.pb.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using mqtt::Qos;
using mqtt::ReasonCode;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const SessionKey kD1("blue/d1");
constexpr std::string_view kTopic = "tenant/blue/device/d1/up/gone";
constexpr std::string_view kSent = "publish tenant/blue/device/d1/up/gone q1 #1 'bye'";

class Wills : public ::testing::Test {
 protected:
  Wills() {
    front.add_device("d1");
    front.add_device(
        "d2", {{.action = AccessRule::Action::kSubscribe, .filter = "tenant/blue/device/+/up/#"}});
    listener.connect("d2").subscribe("tenant/blue/device/+/up/#");
    listener.received();
    client.hello.will = mqtt::Will{.topic = kTopic,
                                   .payload = std::as_bytes(std::span(std::string_view("bye"))),
                                   .qos = Qos::kAtLeastOnce};
  }
  void come(std::uint32_t expiry, std::optional<std::uint32_t> delay = {}) {
    client.hello.session_expiry_seconds = expiry;
    client.hello.will->properties.delay_seconds = delay;
    client.connect("d1");
  }
  std::vector<std::string> heard() {
    front.settle();
    return listener.received();
  }
  TestFront front;
  TestClient listener{front};
  TestClient client{front};
};

TEST_F(Wills, AreSentWhenTheConnectionIsLost) {
  come(100);
  client.lose();
  EXPECT_THAT(heard(), ElementsAre(kSent));
}

TEST_F(Wills, AreUnderWayUntilThoseWhoAreAwayHaveThem) {
  TestClient away(front);
  away.hello.session_expiry_seconds = 100;
  away.connect("d2").subscribe("tenant/blue/device/+/up/#");
  away.lose();
  front.settle();
  come(100);
  client.lose();
  EXPECT_EQ(front.broker->unattended(), 1U);
  front.settle();
  EXPECT_EQ(front.broker->unattended(), 0U);
  EXPECT_EQ(front.store.entries.at(SessionKey("blue/d2")).session.deliveries.size(), 1U);
}

TEST_F(Wills, AreNotSentAfterAnOrderlyEnd) {
  come(100);
  client.disconnect();
  EXPECT_THAT(heard(), IsEmpty());
  EXPECT_FALSE(front.store.entries.at(kD1).will);
}

TEST_F(Wills, AreSentWhenTheClientSaysSo) {
  come(100);
  client.disconnect(ReasonCode::kDisconnectWithWill);
  EXPECT_THAT(heard(), ElementsAre(kSent));
}

TEST_F(Wills, AreSentAfterAProtocolError) {
  come(100);
  client.send({std::byte{0xF0}, std::byte{0}});
  EXPECT_THAT(heard(), ElementsAre(kSent));
}

TEST_F(Wills, GoToTheStoreWithTheirDelay) {
  come(100, 30);
  client.lose();
  EXPECT_THAT(heard(), IsEmpty());
  ASSERT_TRUE(front.store.entries.at(kD1).will);
  EXPECT_EQ(front.store.entries.at(kD1).will->delay, seconds(30));
  EXPECT_EQ(front.store.entries.at(kD1).will->message.payload, "bye");
}

TEST_F(Wills, AreNotDelayedBeyondTheSession) {
  come(0, 30);
  client.lose();
  EXPECT_THAT(heard(), ElementsAre(kSent));
}

TEST_F(Wills, AreKnownToTheStoreWhileTheConnectionLasts) {
  come(100, 30);
  ASSERT_TRUE(front.store.entries.at(kD1).will);
}

TEST_F(Wills, AreNotSentForADeviceThatMayNoLongerSpeak) {
  come(100);
  front.revoke("d1");
  EXPECT_THAT(heard(), IsEmpty());
  EXPECT_FALSE(front.store.entries.at(kD1).will);
}

TEST_F(Wills, AreSentForADeviceWhoseRightsChange) {
  come(100);
  front.broker->on_change(
      {.scope = DeviceChange::Scope::kDevice, .tenant = "blue", .name = "d1", .revision = 9});
  EXPECT_THAT(heard(), ElementsAre(kSent));
}

TEST_F(Wills, AreLeftToTheStoreWhenTheLeaseIsLost) {
  client.hello.will->retain = true;
  come(100);
  front.broker->drop_all("lease lost");
  front.settle();
  EXPECT_EQ(front.retained.size(), 0U) << "published here, though the store may do so as well";
  EXPECT_TRUE(front.store.entries.at(kD1).will);
}

TEST_F(Wills, AreLeftToTheStoreWhenTheSessionHasALaterOwner) {
  come(100);
  const Epoch epoch = front.store.entries.at(kD1).epoch;
  front.store.foreign_claim(kD1);
  front.broker->fence(kD1, epoch);
  EXPECT_THAT(heard(), IsEmpty());
  EXPECT_TRUE(client.is_closed());
  front.store.entries.erase(kD1);
}

TEST_F(Wills, AreLeftToTheStoreWhenAWriteTellsOfALaterOwner) {
  front.store.durable = true;
  client.hello.will->retain = true;
  come(100);
  front.store.foreign_claim(kD1);
  client.subscribe(TestFront::own("d1", "down/#"));
  EXPECT_TRUE(client.is_closed());
  EXPECT_EQ(front.retained.size(), 0U);
  EXPECT_THAT(heard(), IsEmpty());
  front.store.entries.erase(kD1);
}

TEST_F(Wills, AreSentAtATakeOverUnlessTheyAreDelayed) {
  come(100);
  TestClient second(front);
  second.hello.session_expiry_seconds = 100;
  second.hello.clean_start = false;
  second.hello.will = client.hello.will;
  second.hello.will->properties.delay_seconds = 30;
  second.connect("d1");
  EXPECT_THAT(heard(), ElementsAre(kSent));
  TestClient third(front);
  third.hello.session_expiry_seconds = 100;
  third.hello.clean_start = false;
  third.connect("d1");
  EXPECT_THAT(heard(), IsEmpty());
  EXPECT_FALSE(front.store.entries.at(kD1).will);
}

TEST_F(Wills, LiveFromWhenTheyAreSent) {
  client.hello.will->properties.expiry_seconds = 60;
  come(100);
  front.clock.advance(seconds(3600));
  client.lose();
  EXPECT_THAT(heard(), ElementsAre(kSent));
}

TEST_F(Wills, ThatComeFromTheStoreLiveFromWhenTheyArePublished) {
  client.hello.will->properties.expiry_seconds = 60;
  come(100);
  front.clock.advance(seconds(3600));
  // As another front does for one that died.
  const auto will = front.store.entries.at(kD1).will;
  ASSERT_TRUE(will);
  front.broker->publish_will(kD1, *will);
  EXPECT_THAT(heard(), ElementsAre(kSent));
  listener.lose();
  front.settle();
  TestClient later(front);
  later.hello.session_expiry_seconds = 100;
  later.connect("d2").subscribe("tenant/blue/device/+/up/#").lose();
  front.settle();
  front.broker->publish_will(kD1, *will);
  front.settle();
  front.clock.advance(seconds(61));
  TestClient too_late(front);
  too_late.hello.clean_start = false;
  too_late.connect("d2");
  EXPECT_THAT(too_late.received(), ElementsAre("connack 0x00 present"));
}

TEST_F(Wills, GoToKafkaWhereAPublishWould) {
  client.hello.will->topic = "tenant/blue/device/d1/events/gone";
  come(100);
  client.lose();
  front.settle();
  ASSERT_EQ(front.sink.records.size(), 1U);
  telemetry::v1::RawMessage raw;
  ASSERT_TRUE(raw.ParseFromString(front.sink.records[0].value));
  EXPECT_EQ(raw.stream(), "gone");
  EXPECT_EQ(raw.payload(), "bye");
}

telemetry::v1::RawMessage raw_of(const FakeSink::Taken& record) {
  telemetry::v1::RawMessage raw;
  EXPECT_TRUE(raw.ParseFromString(record.value));
  raw.clear_message_id();
  return raw;
}

TEST_F(Wills, ThatComeFromTheStoreGoTheSameWayAsThoseOfAConnection) {
  const auto user = std::to_array<std::uint8_t>({0x26, 0, 3, 's', 'e', 'q', 0, 1, '7'});
  client.hello.will->topic = "tenant/blue/device/d1/events/gone";
  client.hello.will->properties.content_type = "application/json";
  client.hello.will->properties.user = mqtt::UserProperties(std::as_bytes(std::span(user)), 1);
  come(100);
  client.lose();
  front.settle();
  TestClient again(front);
  again.hello = client.hello;
  again.hello.will->properties.delay_seconds = 30;
  again.connect("d1").lose();
  front.settle();
  ASSERT_EQ(front.sink.records.size(), 1U);
  front.broker->publish_will(kD1, front.store.take_will(kD1));
  front.settle();
  ASSERT_EQ(front.sink.records.size(), 2U);
  EXPECT_EQ(front.sink.records[0].topic, front.sink.records[1].topic);
  EXPECT_EQ(front.sink.records[0].key, front.sink.records[1].key);
  const auto live = raw_of(front.sink.records[0]);
  EXPECT_EQ(live.SerializeAsString(), raw_of(front.sink.records[1]).SerializeAsString());
  EXPECT_EQ(live.fleet(), "north");
  EXPECT_EQ(live.device_type(), "meter");
  EXPECT_EQ(live.schema_id(), "meter-v1");
  EXPECT_EQ(live.stream(), "gone");
  EXPECT_EQ(live.content_type(), "application/json");
}

TEST_F(Wills, ThatComeFromTheStoreAreRequestsWhereAPublishWouldBe) {
  client.hello.will->topic = "tenant/blue/device/d1/shadow/update";
  come(100, 30);
  client.lose();
  front.settle();
  front.broker->publish_will(kD1, front.store.take_will(kD1));
  ASSERT_EQ(front.sink.records.size(), 1U);
  EXPECT_EQ(front.sink.records[0].topic, "shadow.requests");
}

TEST_F(Wills, ThatComeFromTheStoreAreForSubscribersAlone) {
  come(100, 30);
  client.lose();
  EXPECT_THAT(heard(), IsEmpty());
  const StoredWill will = front.store.take_will(kD1);
  EXPECT_FALSE(will.origin) << "what it carries is for nothing";
  front.broker->publish_will(kD1, will);
  EXPECT_THAT(heard(), ElementsAre(kSent));
  EXPECT_THAT(front.sink.records, IsEmpty());
}

TEST_F(Wills, WaitForRoomInKafka) {
  client.hello.will->topic = "tenant/blue/device/d1/events/gone";
  come(100);
  front.sink.room = 0;
  client.lose();
  front.settle();
  EXPECT_THAT(front.sink.records, IsEmpty());
  front.sink.room = 10;
  front.broker->retry_records();
  EXPECT_EQ(front.sink.records.size(), 1U);
}

TEST_F(Wills, AreRetainedWhenAsked) {
  client.hello.will->retain = true;
  come(100);
  client.lose();
  front.settle();
  EXPECT_EQ(front.retained.size(), 1U);
}

}  // namespace
}  // namespace sluice::front::testing
