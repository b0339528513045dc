#include "core/tenant_limits.h"

#include <cmath>
#include <format>
#include <limits>
#include <vector>

#include <sluice/limits/v1/limit_change.pb.h>
#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class TenantLimitsTest : public ::testing::Test {
 protected:
  limits::v1::LimitChange change(double messages, seconds holds,
                                 const std::string& tenant = "blue") {
    limits::v1::LimitChange made;
    made.set_tenant(tenant);
    made.set_messages_per_second(messages);
    made.set_reason("consumer_lag");
    made.set_expires_at_ms((clock.wall() + holds).time_since_epoch().count());
    return made;
  }
  Result<> apply(const limits::v1::LimitChange& made) {
    return limits.apply(made, clock.wall(), clock.mono());
  }
  std::uint64_t rate_of(const TenantMeter& meter) {
    return meter.rates(clock.mono()).messages.per_second();
  }

  testing::SimClock clock;
  TenantBucketTable buckets;
  TenantLimits limits{{.default_rates = {.messages = Rate(1000), .bytes = Rate(5000)},
                       .of_tenants = {{"gold", {.messages = Rate(9000)}}},
                       .max_changes = 3},
                      buckets};
  const TenantId blue{"blue"};
};

TEST_F(TenantLimitsTest, HoldWhatIsConfiguredUntilTold) {
  EXPECT_EQ(rate_of(*limits.meter_of(blue)), 1000U);
  EXPECT_EQ(rate_of(*limits.meter_of(TenantId("gold"))), 9000U);
  EXPECT_EQ(limits.meter_of(blue), limits.meter_of(blue));
}

TEST_F(TenantLimitsTest, FollowAChangeUntilItExpires) {
  const auto meter = limits.meter_of(blue);
  ASSERT_TRUE(apply(change(10, seconds(30))));
  EXPECT_EQ(rate_of(*meter), 10U);
  EXPECT_EQ(meter->rates(clock.mono()).bytes.per_second(), 5000U);  // 0: as configured
  EXPECT_EQ(meter->rates(clock.mono()).reason, "consumer_lag");
  clock.advance(milliseconds(29'999));
  EXPECT_EQ(rate_of(*meter), 10U);
  clock.advance(milliseconds(1));
  EXPECT_EQ(rate_of(*meter), 1000U);
}

TEST_F(TenantLimitsTest, FollowAChangeThatCameBeforeTheFirstDevice) {
  ASSERT_TRUE(apply(change(10, seconds(30))));
  EXPECT_EQ(rate_of(*limits.meter_of(blue)), 10U);
}

TEST_F(TenantLimitsTest, ReturnToTheConfiguredLimitsWhenCleared) {
  const auto meter = limits.meter_of(blue);
  ASSERT_TRUE(apply(change(10, seconds(30))));
  limits.clear("blue");
  EXPECT_EQ(rate_of(*meter), 1000U);
  ASSERT_TRUE(apply(change(10, seconds(30))));
  ASSERT_TRUE(apply(change(20, seconds(0))));  // over when it comes
  EXPECT_EQ(rate_of(*meter), 1000U);
  EXPECT_EQ(limits.changes(), 0U);
}

TEST_F(TenantLimitsTest, NeverThrottleForEver) {
  const auto meter = limits.meter_of(blue);
  auto made = change(10, hours(48));
  for (const std::int64_t end : {made.expires_at_ms(), std::numeric_limits<std::int64_t>::max()}) {
    made.set_expires_at_ms(end);
    ASSERT_TRUE(apply(made));
    EXPECT_EQ(rate_of(*meter), 10U);
    clock.advance(hours(1));
    EXPECT_EQ(rate_of(*meter), 1000U);
  }
}

TEST_F(TenantLimitsTest, RefuseValuesThatMakeNoSense) {
  const auto meter = limits.meter_of(blue);
  for (const double rate : {-1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_FALSE(apply(change(rate, seconds(30))));
  }
  EXPECT_FALSE(apply(change(1, seconds(30), "+")));
  EXPECT_EQ(rate_of(*meter), 1000U);
  ASSERT_TRUE(apply(change(0.2, seconds(30))));
  EXPECT_EQ(rate_of(*meter), 1U);  // a fraction is not "no limit"
  ASSERT_TRUE(apply(change(1e300, seconds(30))));
  EXPECT_EQ(rate_of(*meter), Rate::kMaxPerSecond);
}

TEST_F(TenantLimitsTest, KeepABoundedNumberOfChanges) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(apply(change(1, seconds(30), std::format("t{}", i))));
  }
  const auto refused = apply(change(1, seconds(30)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(apply(change(2, seconds(30), "t0")));  // one that is known is no more of them
  clock.advance(seconds(30));
  EXPECT_TRUE(apply(change(1, seconds(30))));
}

TEST_F(TenantLimitsTest, ForgetTenantsThatNobodyHolds) {
  const auto held = limits.meter_of(blue);
  for (int i = 0; i < 10'000; ++i) limits.meter_of(TenantId(std::format("t{}", i)));
  EXPECT_LT(limits.meters(), 200U);
  EXPECT_LT(buckets.size(), 400U);
  EXPECT_EQ(limits.meter_of(blue), held);
}

TEST_F(TenantLimitsTest, OfTwoLoopsShareTheTenantsBuckets) {
  TenantLimits other({.default_rates = {.messages = Rate(1000)}}, buckets);
  EXPECT_EQ(&limits.meter_of(blue)->buckets(), &other.meter_of(blue)->buckets());
}

}  // namespace
}  // namespace sluice::front
