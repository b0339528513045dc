#include "core/device_change.h"

#include <sluice/device/v1/device_change.pb.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

namespace proto = ::sluice::device::v1;
using Action = SessionEffect::Action;
using Scope = DeviceChange::Scope;

proto::DeviceChange of_device(proto::DeviceStatus status, std::int64_t revision) {
  proto::DeviceChange change;
  change.set_tenant("blue");
  change.set_revision(revision);
  change.mutable_device()->set_device("d1");
  change.mutable_device()->set_status(status);
  change.mutable_device()->add_active_credential_ids("c1");
  return change;
}

Identity live() {
  Identity identity;
  identity.tenant = TenantId("blue");
  identity.device = DeviceId("d1");
  identity.device_class = DeviceClassId("meter");
  identity.topic_policy = "strict";
  identity.credential_id = "c1";
  identity.revision = 5;
  return identity;
}

SessionEffect effect(std::string_view key, const proto::DeviceChange* value,
                     const Identity& identity = live()) {
  const auto change = read_device_change(key, value);
  EXPECT_TRUE(change) << change.error().message();
  return change ? effect_on_session(*change, identity) : SessionEffect{};
}

TEST(DeviceChange, EndsSessionsOfDevicesThatMayNotConnect) {
  const std::pair<proto::DeviceStatus, const char*> cases[] = {
      {proto::DEVICE_STATUS_INACTIVE, "device_inactive"},
      {proto::DEVICE_STATUS_QUARANTINED, "device_quarantined"},
      {proto::DEVICE_STATUS_REVOKED, "device_revoked"},
      {static_cast<proto::DeviceStatus>(99), "device_revoked"}};
  for (const auto& [status, reason] : cases) {
    const proto::DeviceChange value = of_device(status, 6);
    const SessionEffect got = effect("blue/d1", &value);
    EXPECT_EQ(got.action, Action::kEnd);
    EXPECT_EQ(got.reason, reason);
  }
  EXPECT_EQ(effect("blue/d1", nullptr).reason, "device_gone");
  EXPECT_EQ(effect("blue/$tenant", nullptr).reason, "tenant_gone");
}

TEST(DeviceChange, EndsSessionsOfRevokedCredentialsAndLooksAgainForTheOthers) {
  const proto::DeviceChange value = of_device(proto::DEVICE_STATUS_ACTIVE, 6);
  EXPECT_EQ(effect("blue/d1", &value).action, Action::kLookAgain);
  Identity other = live();
  other.credential_id = "c2";
  EXPECT_EQ(effect("blue/d1", &value, other).action, Action::kEnd);
  EXPECT_EQ(effect("blue/d1", &value, other).reason, "credential_revoked");
}

TEST(DeviceChange, IsNoNewsToASessionThatKnowsTheStateOrALaterOne) {
  for (const std::int64_t revision : {1, 5}) {
    const proto::DeviceChange value = of_device(proto::DEVICE_STATUS_REVOKED, revision);
    EXPECT_EQ(effect("blue/d1", &value).action, Action::kKeep);
  }
}

TEST(DeviceChange, ConcernsNobodyElse) {
  const proto::DeviceChange value = of_device(proto::DEVICE_STATUS_REVOKED, 6);
  Identity other = live();
  other.device = DeviceId("d2");
  EXPECT_EQ(effect("blue/d1", &value, other).action, Action::kKeep);
  other = live();
  other.tenant = TenantId("red");
  EXPECT_EQ(effect("blue/d1", &value, other).action, Action::kKeep);
}

TEST(DeviceChange, OfAClassOrPolicyHasItsSessionsLookAgain) {
  EXPECT_EQ(effect("blue/$class/meter", nullptr).action, Action::kLookAgain);
  EXPECT_EQ(effect("blue/$class/lamp", nullptr).action, Action::kKeep);
  EXPECT_EQ(effect("blue/$policy/strict", nullptr).action, Action::kLookAgain);
  EXPECT_EQ(effect("blue/$policy/loose", nullptr).action, Action::kKeep);
}

proto::DeviceChange of_class(std::int64_t revision) {
  proto::DeviceChange change;
  change.set_tenant("blue");
  change.set_revision(revision);
  change.mutable_device_class()->set_device_class("meter");
  return change;
}

proto::DeviceChange of_policy(std::int64_t revision) {
  proto::DeviceChange change;
  change.set_tenant("blue");
  change.set_revision(revision);
  change.mutable_topic_policy()->set_topic_policy("strict");
  return change;
}

TEST(DeviceChange, OfAClassOrPolicyIsNoNewsToASessionThatWasMadeFromIt) {
  Identity identity = live();
  identity.class_revision = 7;
  identity.policy_revision = 9;
  const proto::DeviceChange known_class = of_class(7);
  const proto::DeviceChange later_class = of_class(8);
  const proto::DeviceChange known_policy = of_policy(9);
  const proto::DeviceChange later_policy = of_policy(10);
  EXPECT_EQ(effect("blue/$class/meter", &known_class, identity).action, Action::kKeep);
  EXPECT_EQ(effect("blue/$class/meter", &later_class, identity).action, Action::kLookAgain);
  EXPECT_EQ(effect("blue/$policy/strict", &known_policy, identity).action, Action::kKeep);
  EXPECT_EQ(effect("blue/$policy/strict", &later_policy, identity).action, Action::kLookAgain);
  // A registry of before these fields tells none: then any record may be news.
  EXPECT_EQ(effect("blue/$class/meter", &known_class).action, Action::kLookAgain);
  // Gone is news, whatever was known of it.
  EXPECT_EQ(effect("blue/$class/meter", nullptr, identity).action, Action::kLookAgain);
}

TEST(DeviceChange, OfATenantEndsAllOrNothing) {
  proto::DeviceChange value;
  value.set_tenant("blue");
  value.set_revision(9);
  value.mutable_tenant_state()->set_is_active(true);
  EXPECT_EQ(effect("blue/$tenant", &value).action, Action::kKeep);
  value.mutable_tenant_state()->set_is_active(false);
  EXPECT_EQ(effect("blue/$tenant", &value).reason, "tenant_suspended");
}

TEST(DeviceChange, IsNotReadWhereKeyAndValueDisagreeOrMakeNoSense) {
  const proto::DeviceChange value = of_device(proto::DEVICE_STATUS_ACTIVE, 6);
  for (const char* key :
       {"", "blue", "blue/", "/d1", "red/d1", "blue/d2", "blue/$tenant", "blue/$class/d1",
        "blue/$policy/d1", "blue/$other/d1", "blue/x/d1", "blue/$class/", "+/d1"}) {
    EXPECT_FALSE(read_device_change(key, &value)) << key;
  }
  EXPECT_FALSE(read_device_change("blue/+", nullptr));
  proto::DeviceChange empty;
  empty.set_tenant("blue");
  empty.set_revision(1);
  EXPECT_FALSE(read_device_change("blue/d1", &empty));
  const proto::DeviceChange unnumbered = of_device(proto::DEVICE_STATUS_ACTIVE, 0);
  EXPECT_FALSE(read_device_change("blue/d1", &unnumbered));
}

}  // namespace
}  // namespace sluice::front
