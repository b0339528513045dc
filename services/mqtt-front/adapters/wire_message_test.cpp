#include "adapters/wire_message.h"

#include <sluice/mqtt/v1/mqtt_front.pb.h>
#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

mqtt::v1::Delivery shared_delivery(const Moment& now) {
  Parcel parcel{.delivery = {.message = std::make_shared<const mqtt::Message>(mqtt::Message{
                                 .topic = "a/b", .payload = "x", .qos = mqtt::Qos::kExactlyOnce}),
                             .qos = mqtt::Qos::kAtLeastOnce,
                             .given_on = 4,
                             .share = std::make_shared<const std::string>("$share/g/a/+")}};
  mqtt::v1::Delivery wire;
  to_wire(SessionKey("blue/d1"), parcel, now, wire);
  return wire;
}

TEST(WireMessage, KeepsTheShareThatADeliveryCameBy) {
  testing::SimClock clock;
  const Moment now = Moment::of(clock);
  const auto read = from_wire(shared_delivery(now), now, "deliveries[0]");
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_TRUE(read->parcel.delivery.share);
  EXPECT_EQ(*read->parcel.delivery.share, "$share/g/a/+");
  EXPECT_EQ(read->parcel.delivery.given_on, 4);
  EXPECT_EQ(read->parcel.delivery.qos, mqtt::Qos::kAtLeastOnce);
}

TEST(WireMessage, RefusesAShareThatIsNone) {
  testing::SimClock clock;
  const Moment now = Moment::of(clock);
  for (const char* share : {"a/b", "$share/g", "$share//a", "$share/+/a", "$share/g/a/#/b"}) {
    mqtt::v1::Delivery wire = shared_delivery(now);
    wire.set_share(share);
    const auto read = from_wire(wire, now, "deliveries[0]");
    ASSERT_FALSE(read) << share;
    ASSERT_EQ(read.error().faults().size(), 1U);
    EXPECT_EQ(read.error().faults()[0].field, "deliveries[0].share");
  }
  mqtt::v1::Delivery often = shared_delivery(now);
  often.set_given_on(256);
  EXPECT_FALSE(from_wire(often, now, "deliveries[0]"));
}

TEST(WireMessage, OfNoShareHasNone) {
  testing::SimClock clock;
  const Moment now = Moment::of(clock);
  mqtt::v1::Delivery wire = shared_delivery(now);
  wire.clear_share();
  EXPECT_FALSE(from_wire(wire, now, "deliveries[0]")->parcel.delivery.share);
}

}  // namespace
}  // namespace sluice::front
