#include "core/admission.h"

#include <format>

#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

using mqtt::Qos;
using mqtt::ReasonCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Action = MessageVerdict::Action;

class AdmissionTest : public ::testing::Test {
 protected:
  MonoTime now() const { return clock.mono(); }
  TenantMeter tenant_with(const TenantRates& rates) {
    return TenantMeter(std::make_shared<TenantBuckets>(), rates);
  }
  testing::SimClock clock;
  TenantMeter unlimited = tenant_with({});
  const SessionKey key{"blue/d1"};
};

// ---- connections

TEST_F(AdmissionTest, BoundsHandshakesUnderWay) {
  ConnectionAdmission admission({.node_connections = Rate(), .max_handshakes = 3});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(admission.admit_socket(now()).is_admitted);
  const ConnectionVerdict refused = admission.admit_socket(now());
  EXPECT_FALSE(refused.is_admitted);
  EXPECT_EQ(refused.reason, ReasonCode::kServerBusy);
  EXPECT_EQ(refused.limit.describe(), "handshakes_in_flight limit 3 of node");
  EXPECT_EQ(admission.handshakes(), 3U);
  admission.handshake_done();
  EXPECT_TRUE(admission.admit_socket(now()).is_admitted);
}

TEST_F(AdmissionTest, BoundsConnectionsOfTheNodeASecond) {
  ConnectionAdmission admission({.node_connections = Rate(100), .max_handshakes = 1000});
  std::size_t admitted = 0;
  for (int i = 0; i < 500; ++i) admitted += admission.admit_socket(now()).is_admitted ? 1U : 0U;
  EXPECT_EQ(admitted, 100U);
  const ConnectionVerdict refused = admission.admit_socket(now());
  EXPECT_EQ(refused.reason, ReasonCode::kConnectionRateExceeded);
  EXPECT_EQ(refused.limit.describe(), "connections_per_second limit 100 of node");
  EXPECT_EQ(admission.handshakes(), 100U);  // those refused are not under way
  clock.advance(milliseconds(10));
  EXPECT_TRUE(admission.admit_socket(now()).is_admitted);
}

TEST_F(AdmissionTest, BoundsConnectionsOfATenantAndLeavesTheOthersAlone) {
  ConnectionAdmission admission({});
  TenantMeter limited = tenant_with({.connections = Rate(2)});
  EXPECT_TRUE(admission.admit_client(SessionKey("blue/d1"), limited, now()).is_admitted);
  EXPECT_TRUE(admission.admit_client(SessionKey("blue/d2"), limited, now()).is_admitted);
  const auto refused = admission.admit_client(SessionKey("blue/d3"), limited, now());
  EXPECT_EQ(refused.reason, ReasonCode::kConnectionRateExceeded);
  EXPECT_EQ(refused.limit.describe(), "connections_per_second limit 2 of tenant");
  EXPECT_TRUE(admission.admit_client(SessionKey("red/d3"), unlimited, now()).is_admitted);
}

TEST_F(AdmissionTest, BoundsHowOftenAClientConnects) {
  ConnectionAdmission admission({.client_connects = Rate(1)});
  EXPECT_TRUE(admission.admit_client(key, unlimited, now()).is_admitted);
  const auto refused = admission.admit_client(key, unlimited, now());
  EXPECT_EQ(refused.reason, ReasonCode::kConnectionRateExceeded);
  EXPECT_EQ(refused.limit.describe(), "connections_per_second limit 1 of client");
  clock.advance(seconds(1));
  EXPECT_TRUE(admission.admit_client(key, unlimited, now()).is_admitted);
}

TEST_F(AdmissionTest, BansAClientThatFlapsForAWhile) {
  ConnectionAdmission admission({.client_connects = Rate()});
  for (int i = 0; i < 15; ++i) {
    EXPECT_TRUE(admission.admit_client(key, unlimited, now()).is_admitted) << i;
    admission.on_disconnect(key, now());
    clock.advance(seconds(4));
  }
  const auto refused = admission.admit_client(key, unlimited, now());
  EXPECT_EQ(refused.reason, ReasonCode::kBanned);
  EXPECT_EQ(refused.limit.describe(), "disconnects_per_minute limit 15 of client");
  EXPECT_TRUE(admission.admit_client(SessionKey("blue/d2"), unlimited, now()).is_admitted);
  clock.advance(seconds(295));
  EXPECT_FALSE(admission.admit_client(key, unlimited, now()).is_admitted);
  clock.advance(seconds(1));
  EXPECT_TRUE(admission.admit_client(key, unlimited, now()).is_admitted);
}

TEST_F(AdmissionTest, DoesNotBanAClientThatComesAndGoesSlowly) {
  ConnectionAdmission admission({.client_connects = Rate()});
  for (int i = 0; i < 100; ++i) {
    admission.on_disconnect(key, now());
    clock.advance(milliseconds(4300));  // 14 a minute
  }
  EXPECT_TRUE(admission.admit_client(key, unlimited, now()).is_admitted);
}

TEST_F(AdmissionTest, RemembersABoundedNumberOfClients) {
  ConnectionAdmission admission({.client_connects = Rate(1), .max_clients = 100});
  admission.admit_client(key, unlimited, now());
  for (int i = 0; i < 99; ++i) {
    admission.admit_client(SessionKey(std::format("blue/x{}", i)), unlimited, now());
  }
  EXPECT_FALSE(admission.admit_client(key, unlimited, now()).is_admitted);  // heard of again
  for (int i = 0; i < 99; ++i) {
    admission.on_disconnect(SessionKey(std::format("blue/y{}", i)), now());
  }
  EXPECT_EQ(admission.clients(), 100U);
  EXPECT_FALSE(admission.admit_client(key, unlimited, now()).is_admitted);
}

// ---- messages

struct Sender {
  explicit Sender(const DeviceLimits& limits) : rates(limits) {}
  DeviceRates rates;
  DeviceMeter meter{};
};

MessageTraits message(Qos qos, bool is_buffered = false, std::size_t bytes = 100) {
  return {.qos = qos, .payload_bytes = bytes, .bytes = bytes, .is_buffered = is_buffered};
}

TEST_F(AdmissionTest, ShedsQosZeroAndHoldsTheOthersAtTheDevicesLimit) {
  Sender sender({.messages_per_second = 10});
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(
        admit_message(message(Qos::kAtLeastOnce), sender.rates, sender.meter, unlimited, now())
            .action,
        Action::kAdmit);
  }
  const auto shed =
      admit_message(message(Qos::kAtMostOnce), sender.rates, sender.meter, unlimited, now());
  EXPECT_EQ(shed.action, Action::kShed);
  EXPECT_EQ(shed.limit.describe(), "messages_per_second limit 10 of device");
  EXPECT_EQ(shed.reason, ReasonCode::kMessageRateTooHigh);
  for (const Qos qos : {Qos::kAtLeastOnce, Qos::kExactlyOnce}) {
    const auto held = admit_message(message(qos), sender.rates, sender.meter, unlimited, now());
    EXPECT_EQ(held.action, Action::kWait);
    EXPECT_EQ(held.until, now() + milliseconds(100));
  }
  clock.advance(milliseconds(100));
  EXPECT_EQ(admit_message(message(Qos::kExactlyOnce), sender.rates, sender.meter, unlimited, now())
                .action,
            Action::kAdmit);
}

TEST_F(AdmissionTest, NamesTheByteLimitWhereThatIsTheOne) {
  Sender sender({.messages_per_second = 0, .bytes_per_second = 1000});
  EXPECT_EQ(admit_message(message(Qos::kAtLeastOnce, false, 900), sender.rates, sender.meter,
                          unlimited, now())
                .action,
            Action::kAdmit);
  const auto held = admit_message(message(Qos::kAtLeastOnce, false, 200), sender.rates,
                                  sender.meter, unlimited, now());
  EXPECT_EQ(held.limit.describe(), "bytes_per_second limit 1000 of device");
  EXPECT_EQ(held.until, now() + milliseconds(100));
}

TEST_F(AdmissionTest, RefusesAPayloadThatIsTooLargeForEver) {
  Sender sender({.max_payload_bytes = 100});
  EXPECT_EQ(admit_message(message(Qos::kAtLeastOnce), sender.rates, sender.meter, unlimited, now())
                .action,
            Action::kAdmit);
  const auto refused = admit_message(message(Qos::kAtLeastOnce, false, 101), sender.rates,
                                     sender.meter, unlimited, now());
  EXPECT_EQ(refused.action, Action::kRefuse);
  EXPECT_EQ(refused.reason, ReasonCode::kQuotaExceeded);
  EXPECT_EQ(refused.limit.describe(), "max_payload_bytes limit 100 of device");
}

TEST_F(AdmissionTest, SharesTheTenantsLimitAmongItsDevices) {
  TenantMeter tenant = tenant_with({.messages = Rate(20)});
  Sender first({});
  Sender second({});
  for (int i = 0; i < 10; ++i) {
    for (Sender* sender : {&first, &second}) {
      EXPECT_EQ(
          admit_message(message(Qos::kAtLeastOnce), sender->rates, sender->meter, tenant, now())
              .action,
          Action::kAdmit);
    }
  }
  const auto held =
      admit_message(message(Qos::kAtLeastOnce), first.rates, first.meter, tenant, now());
  EXPECT_EQ(held.action, Action::kWait);
  EXPECT_EQ(held.limit.describe(), "messages_per_second limit 20 of tenant");
}

TEST_F(AdmissionTest, TakesFromAllBucketsOrFromNone) {
  TenantMeter tenant = tenant_with({.messages = Rate(10), .bytes = Rate(1000)});
  Sender sender({.messages_per_second = 10, .bytes_per_second = 0});
  EXPECT_EQ(admit_message(message(Qos::kAtLeastOnce, false, 950), sender.rates, sender.meter,
                          tenant, now())
                .action,
            Action::kAdmit);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(admit_message(message(Qos::kAtLeastOnce, false, 100), sender.rates, sender.meter,
                            tenant, now())
                  .limit.describe(),
              "bytes_per_second limit 1000 of tenant");
  }
  // The 50 refusals cost neither the device nor the tenant one message.
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(admit_message(message(Qos::kAtLeastOnce, false, 1), sender.rates, sender.meter,
                            tenant, now())
                  .action,
              Action::kAdmit)
        << i;
  }
  EXPECT_EQ(
      admit_message(message(Qos::kAtLeastOnce, false, 1), sender.rates, sender.meter, tenant, now())
          .action,
      Action::kWait);
}

TEST_F(AdmissionTest, SlowsBackfillBeforeLiveMessages) {
  Sender sender({.messages_per_second = 10});
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(admit_message(message(Qos::kAtLeastOnce, true), sender.rates, sender.meter, unlimited,
                            now())
                  .action,
              Action::kAdmit);
  }
  EXPECT_EQ(
      admit_message(message(Qos::kAtLeastOnce, true), sender.rates, sender.meter, unlimited, now())
          .action,
      Action::kWait);
  EXPECT_EQ(
      admit_message(message(Qos::kAtMostOnce, true), sender.rates, sender.meter, unlimited, now())
          .action,
      Action::kShed);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(admit_message(message(Qos::kAtMostOnce), sender.rates, sender.meter, unlimited, now())
                  .action,
              Action::kAdmit);
  }
}

TEST_F(AdmissionTest, ShedsQosZeroFirstWhereTheTenantOrTheClassIsToldTo) {
  for (const bool by_tenant : {true, false}) {
    TenantMeter tenant = tenant_with({.messages = Rate(10), .sheds_low_priority = by_tenant});
    Sender sender({.is_lossy = !by_tenant});
    for (int i = 0; i < 20; ++i) {
      const auto verdict =
          admit_message(message(Qos::kAtMostOnce), sender.rates, sender.meter, tenant, now());
      EXPECT_EQ(verdict.action, i < 5 ? Action::kAdmit : Action::kShed) << i;
    }
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(admit_message(message(Qos::kAtLeastOnce), sender.rates, sender.meter, tenant, now())
                    .action,
                Action::kAdmit);
    }
  }
}

TEST_F(AdmissionTest, HoldsTheRatesOverMessagesThatCameInOnePiece) {
  TenantMeter tenant = tenant_with({.messages = Rate(20)});
  Sender sender({.messages_per_second = 10});
  MessageVerdict verdict;
  for (int i = 0; i < 100; ++i) {
    verdict =
        admit_read_message(message(Qos::kAtLeastOnce), sender.rates, sender.meter, tenant, now());
    ASSERT_EQ(verdict.action, i < 10 ? Action::kAdmit : Action::kWait) << i;
  }
  EXPECT_EQ(verdict.until, now() + seconds(9));
  // The tenant's other devices wait for it too, by what it overdrew: 80 messages at 20 a second.
  Sender other({});
  const auto held =
      admit_message(message(Qos::kAtLeastOnce), other.rates, other.meter, tenant, now());
  EXPECT_EQ(held.until, now() + milliseconds(4050));
  EXPECT_EQ(admit_read_message(message(Qos::kAtMostOnce), sender.rates, sender.meter, tenant, now())
                .action,
            Action::kShed);
}

// Whatever is sent under whatever limits: QoS 1 and 2 are never shed, what waits is let in at the
// time it was told, and QoS 0 never waits.
TEST_F(AdmissionTest, NeverDropsWhatItMustAcknowledge) {
  testing::SimRandom random(5);
  for (int round = 0; round < 300; ++round) {
    TenantMeter tenant = tenant_with({.messages = Rate(random.below(50)),
                                      .bytes = Rate(random.below(5000)),
                                      .sheds_low_priority = random.chance(0.5)});
    Sender sender({.messages_per_second = static_cast<std::uint32_t>(random.below(50)),
                   .bytes_per_second = static_cast<std::uint32_t>(random.below(5000)),
                   .is_lossy = random.chance(0.5)});
    for (int i = 0; i < 50; ++i) {
      const MessageTraits sent =
          message(static_cast<Qos>(random.below(3)), random.chance(0.3), random.below(10'000));
      auto verdict = admit_message(sent, sender.rates, sender.meter, tenant, now());
      if (sent.qos == Qos::kAtMostOnce) {
        ASSERT_NE(verdict.action, Action::kWait);
        continue;
      }
      int waits = 0;
      while (verdict.action == Action::kWait) {
        ASSERT_GT(verdict.until, now());
        ASSERT_LE(++waits, 4);  // one for each of the four buckets at most
        clock.advance(verdict.until - now());
        verdict = admit_message(sent, sender.rates, sender.meter, tenant, now());
      }
      ASSERT_EQ(verdict.action, Action::kAdmit);
    }
  }
}

}  // namespace
}  // namespace sluice::front
