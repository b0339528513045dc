// What one member of a share group has not finished when its session ends, another one gets.
#include "platform.h"

#include <chrono>
#include <format>
#include <string>

#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;
using mqtt::PacketType;
using mqtt::Qos;
using mqtt::ReasonCode;
using sluice::testing::eventually;

/// Two members of a group, each on a front of its own, and somebody who publishes on the first one.
class SharedSubscriptions : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    Platform& platform = shared_platform();
    const Json rules = {{{"action", "publish"}, {"topic", "{tenant}/jobs/#"}},
                        {{"action", "subscribe"}, {"topic", "{tenant}/jobs/#"}}};
    platform.post("/v1/topic-policies", {{"topic_policy_id", "work"}, {"rules", rules}}, 201);
    platform.post("/v1/device-classes",
                  {{"device_class_id", "worker"}, {"topic_policy_id", "work"}}, 201);
  }

  MqttClient member(const Front& front, const Device& device, std::uint32_t expiry_seconds) {
    MqttClient client = front.client();
    EXPECT_EQ(client.connect(device.session(expiry_seconds)).reason, ReasonCode::kSuccess);
    for (const std::string& filter : {"$share/g/" + open_jobs(), topic("ready/" + device.id)}) {
      client.send_subscribe(filter, Qos::kAtLeastOnce);
      EXPECT_EQ(client.expect(PacketType::kSuback).reasons.at(0), ReasonCode::kGrantedQos1);
    }
    return client;
  }
  /// The first device, whose session is then kept for so long.
  void come_and_leave(std::uint32_t expiry_seconds) {
    MqttClient leaving = member(*one, first, expiry_seconds);
    leaving.send_disconnect();
    ASSERT_TRUE(leaving.wait_closed());
  }
  /// Until the first front knows what the member has subscribed to.
  void wait_until_known(MqttClient& client, const Device& device) {
    EXPECT_TRUE(eventually([&] {
      publisher.publish(topic("ready/" + device.id), "?");
      const auto heard = client.receive(50ms);
      if (!heard) return false;
      client.send_ack(PacketType::kPuback, heard->packet_id);
      return true;
    }));
    while (const auto more = client.receive(100ms)) {
      client.send_ack(PacketType::kPuback, more->packet_id);
    }
  }
  /// Of this test alone: members of an earlier one may still be remembered.
  std::string open_jobs() const { return topic("open/" + first.id); }
  std::string topic(const std::string& rest) const {
    return std::format("{}/jobs/{}", first.tenant, rest);
  }

  Platform& platform = shared_platform();
  std::unique_ptr<Front> one = platform.start_front();
  std::unique_ptr<Front> other = platform.start_front();
  Device first = platform.make_device("worker");
  Device second = platform.make_device("worker");
  Device publishing = platform.make_device("worker");
  MqttClient publisher = [this] {
    MqttClient client = one->client();
    EXPECT_EQ(client.connect(publishing.session()).reason, ReasonCode::kSuccess);
    return client;
  }();
};

TEST_F(SharedSubscriptions, GiveOnWhatAMemberHadNotAcknowledgedWhenItLeaves) {
  MqttClient leaving = member(*one, first, 0);
  MqttClient staying = member(*other, second, 0);
  wait_until_known(staying, second);
  EXPECT_EQ(publisher.publish(open_jobs(), "job").reason, ReasonCode::kSuccess);
  EXPECT_EQ(leaving.expect(PacketType::kPublish).payload, "job");
  leaving.send_disconnect();
  const Received given_on = staying.expect(PacketType::kPublish);
  EXPECT_EQ(given_on.payload, "job");
  EXPECT_FALSE(given_on.dup);
}

TEST_F(SharedSubscriptions, GiveOnWhatWaitedForAMemberWhoseSessionExpires) {
  come_and_leave(2);
  EXPECT_EQ(publisher.publish(open_jobs(), "job").reason, ReasonCode::kSuccess);
  MqttClient staying = member(*other, second, 0);
  EXPECT_EQ(staying.expect(PacketType::kPublish).payload, "job");
  EXPECT_FALSE(staying.receive(200ms)) << "it came twice";
}

TEST_F(SharedSubscriptions, GiveOnWhatWaitedForAMemberThatStartsClean) {
  come_and_leave(600);
  EXPECT_EQ(publisher.publish(open_jobs(), "job").reason, ReasonCode::kSuccess);
  MqttClient staying = member(*other, second, 0);
  wait_until_known(staying, second);
  MqttClient fresh = one->client();
  EXPECT_FALSE(fresh.connect(first.session(600)).session_present);
  EXPECT_EQ(staying.expect(PacketType::kPublish).payload, "job");
}

}  // namespace
}  // namespace sluice::front::testing
