#include "core/client.h"
#include "testing/test_front.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front {
namespace {

using mqtt::Qos;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::TestClient;
using testing::TestFront;

TEST(ConformanceReset, LeavesNothingOfWhatWasBefore) {
  TestFront front({.is_conformance_profile = true});
  TestClient operating(front);
  operating.connect("operator").subscribe("b");
  operating.publish("a", "kept", Qos::kAtLeastOnce, 1, true);
  TestClient absent(front);
  absent.hello.session_expiry_seconds = 100;
  absent.connect("absent").subscribe("a").lose();
  TestClient present(front);
  present.hello.session_expiry_seconds = 100;
  present.hello.will = mqtt::Will{.topic = "b"};
  present.connect("present").subscribe("a");
  ASSERT_THAT(present.received(), Contains("publish a q1 #1 retain 'kept'"));
  operating.received();

  operating.publish(kResetTopic, "", Qos::kAtLeastOnce, 2);
  EXPECT_THAT(operating.received(), ElementsAre("puback 2")) << "the will of another came";
  EXPECT_THAT(present.received(), ElementsAre("disconnect 0x98"));
  for (const char* id : {"absent", "present"}) {
    TestClient again(front);
    again.hello.clean_start = false;
    EXPECT_THAT(again.connect(id).received(), ElementsAre("connack 0x00")) << id;
    again.subscribe("a", Qos::kAtMostOnce);
    EXPECT_THAT(again.received(), ElementsAre("suback 0x00")) << "something is retained";
  }
}

TEST(ConformanceReset, IsAcknowledgedOnceEveryLoopHasDoneIt) {
  const std::size_t own = loop_of(SessionKey("/operator"), 2);
  TestFront front({.is_conformance_profile = true}, {.loop = own, .loops = 2});
  TestClient operating(front);
  operating.connect("operator").received();
  operating.publish(kResetTopic, "", Qos::kAtLeastOnce, 2);
  EXPECT_EQ(front.neighbours.resets, 1U);
  EXPECT_THAT(operating.received(), IsEmpty());
  front.settle();
  EXPECT_THAT(operating.received(), ElementsAre("puback 2"));
}

TEST(ConformanceReset, SparesNobodyOnOtherLoops) {
  TestFront front({.is_conformance_profile = true});
  TestClient present(front);
  present.hello.session_expiry_seconds = 100;
  present.connect("present").received();
  front.broker->reset_profile(nullptr);
  front.settle();
  EXPECT_THAT(present.received(), ElementsAre("disconnect 0x98"));
  EXPECT_THAT(front.store.entries, IsEmpty());
}

TEST(ConformanceReset, IsAnOrdinaryTopicOutsideOfTheProfile) {
  TestFront front;
  front.add_device("d1");
  TestClient other(front);
  front.add_device("d2");
  other.connect("d2");
  other.received();
  TestClient client(front);
  client.connect("d1").publish(kResetTopic, "", Qos::kAtLeastOnce, 1);
  EXPECT_THAT(client.received(), ElementsAre("connack 0x00", "puback 1 0x87"));
  EXPECT_THAT(other.received(), IsEmpty());
}

TEST(ConformanceProfile, TellsThatNobodyHasSubscribed) {
  TestFront front({.is_conformance_profile = true});
  TestClient client(front);
  client.connect("c").publish("a", "x", Qos::kAtLeastOnce, 1);
  // In a PUBREC it would be taken for a refusal.
  client.publish("a", "x", Qos::kExactlyOnce, 2);
  EXPECT_THAT(client.received(), ElementsAre("connack 0x00", "puback 1 0x10", "pubrec 2"));
}

}  // namespace
}  // namespace sluice::front
