#include "core/identity.h"

#include <functional>

#include <sluice/device/v1/device_registry.pb.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

namespace proto = ::sluice::device::v1;

const ingest::TopicMap& topics() {
  static const ingest::TopicMap map;
  return map;
}

proto::DeviceIdentity answer() {
  proto::DeviceIdentity identity;
  identity.set_tenant("blue");
  identity.set_device("d1");
  identity.set_external_id("press-7");
  identity.set_fleet("north");
  identity.set_device_class("meter");
  identity.set_schema_id("meter-v1");
  identity.set_status(proto::DEVICE_STATUS_ACTIVE);
  identity.set_credential_id("c1");
  identity.set_revision(7);
  identity.set_cache_ttl_seconds(60);
  identity.set_credential_expires_at_ms(5000);
  proto::TopicRule& rule = *identity.add_rules();
  rule.set_action(proto::TOPIC_ACTION_PUBLISH);
  rule.set_topic("tenant/blue/device/d1/telemetry/#");
  rule.set_max_qos(1);
  return identity;
}

Result<IdentityPtr> made_from(const proto::DeviceIdentity& from) {
  return make_identity(from, {.topics = topics(), .default_limits = {.messages_per_second = 9}});
}

TEST(Identity, IsWhatTheRegistryAnswered) {
  proto::DeviceIdentity from = answer();
  from.mutable_limits()->set_bytes_per_second(1000);
  from.mutable_limits()->set_max_qos(1);
  const auto made = made_from(from);
  ASSERT_TRUE(made) << made.error().message();
  const Identity& identity = **made;
  EXPECT_EQ(identity.session.value(), "blue/d1");
  EXPECT_EQ(identity.external_id, "press-7");
  EXPECT_EQ(identity.fleet, "north");
  EXPECT_EQ(identity.device_class.value(), "meter");
  EXPECT_EQ(identity.schema_id, "meter-v1");
  EXPECT_EQ(identity.credential_id, "c1");
  EXPECT_EQ(identity.revision, 7);
  EXPECT_EQ(identity.limits.messages_per_second, 9U);
  EXPECT_EQ(identity.limits.bytes_per_second, 1000U);
  EXPECT_EQ(identity.limits.max_qos, mqtt::Qos::kAtLeastOnce);
  EXPECT_FALSE(identity.has_expired(WallTime(std::chrono::milliseconds(4999))));
  EXPECT_TRUE(identity.has_expired(WallTime(std::chrono::milliseconds(5000))));
  EXPECT_TRUE(
      identity.policy.may_publish("north/devices/d1/telemetry", mqtt::Qos::kAtLeastOnce, false)
          .is_allowed());
}

TEST(Identity, TakesItsOwnNamesAsClientIdsAndNoOthers) {
  const auto made = made_from(answer());
  ASSERT_TRUE(made);
  EXPECT_TRUE((*made)->may_use_client_id("d1"));
  EXPECT_TRUE((*made)->may_use_client_id("press-7"));
  for (const char* other : {"", "d2", "D1", "d1 ", "blue/d1"}) {
    EXPECT_FALSE((*made)->may_use_client_id(other)) << other;
  }
  proto::DeviceIdentity bare = answer();
  bare.clear_external_id();
  EXPECT_FALSE((*made_from(bare))->may_use_client_id(""));
}

TEST(Identity, IsNotMadeOfAnAnswerThatMakesNoSense) {
  const std::pair<const char*, std::function<void(proto::DeviceIdentity&)>> faults[] = {
      {"no tenant", [](auto& to) { to.clear_tenant(); }},
      {"tenant is a pattern", [](auto& to) { to.set_tenant("+"); }},
      {"device is a path", [](auto& to) { to.set_device("d1/x"); }},
      {"fleet is a pattern", [](auto& to) { to.set_fleet("#"); }},
      {"external id is a pattern", [](auto& to) { to.set_external_id("a/#"); }},
      {"no class", [](auto& to) { to.clear_device_class(); }},
      {"quarantined", [](auto& to) { to.set_status(proto::DEVICE_STATUS_QUARANTINED); }},
      {"no status", [](auto& to) { to.clear_status(); }},
      {"rule is no filter", [](auto& to) { to.mutable_rules(0)->set_topic("a/#/b"); }},
      {"rule of qos 3", [](auto& to) { to.mutable_rules(0)->set_max_qos(3); }},
      {"limit of qos 3", [](auto& to) { to.mutable_limits()->set_max_qos(3); }},
      {"negative revision", [](auto& to) { to.set_revision(-1); }},
      {"long schema", [](auto& to) { to.set_schema_id(std::string(300, 's')); }},
  };
  for (const auto& [name, spoil] : faults) {
    proto::DeviceIdentity from = answer();
    spoil(from);
    EXPECT_FALSE(made_from(from)) << name;
  }
}

TEST(Identity, GrantsNothingByARuleWhoseActionItDoesNotKnow) {
  proto::DeviceIdentity from = answer();
  from.mutable_rules(0)->set_action(proto::TOPIC_ACTION_UNSPECIFIED);
  const auto made = made_from(from);
  ASSERT_TRUE(made);
  EXPECT_EQ((*made)->policy.size(), 0U);
}

TEST(Identity, KeepsItsCredentialWhenLookedUpAgain) {
  const auto first = made_from(answer());
  ASSERT_TRUE(first);
  proto::DeviceIdentity looked_up = answer();
  looked_up.clear_credential_id();
  looked_up.clear_credential_expires_at_ms();
  looked_up.set_fleet("south");
  const auto second = make_identity(looked_up, {.topics = topics()}, **first);
  ASSERT_TRUE(second);
  EXPECT_EQ((*second)->fleet, "south");
  EXPECT_EQ((*second)->credential_id, "c1");
  EXPECT_EQ((*second)->credential_expires_at, (*first)->credential_expires_at);
  looked_up.set_device("d2");
  EXPECT_FALSE(make_identity(looked_up, {.topics = topics()}, **first));
}

}  // namespace
}  // namespace sluice::front
