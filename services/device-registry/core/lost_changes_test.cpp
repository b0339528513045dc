#include "core/lost_changes.h"

#include "core/catalog.h"
#include "testing/fake_store.h"
#include "testing/fake_vault.h"
#include "testing/requests.h"

#include <cstdint>
#include <format>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <sluice/device/v1/device_change.pb.h>
#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::registry {
namespace {

namespace proto = ::sluice::device::v1;
using enum ResourceKind;

constexpr std::int64_t kLater = 1'000'000;  // a revision that the restored database has not given

class LostChangesTest : public ::testing::Test {
 protected:
  LostChangesTest() {
    const auto made =
        store.run(Scope::all_tenants(), {}, [](Transaction& t) { return t.ensure_tenant("blue"); });
    EXPECT_TRUE(made);
    device = catalog.create(blue, kDevice, {{"device_class", "meter"}}, {})->resource;
  }

  /// As control.devices has it: its last record, under another revision.
  Told last_told(const std::string& key, std::int64_t revision) {
    Told told;
    for (const OutboxRecord& record : store.rows().outbox) {
      if (record.topic == kControlTopic && record.key == key) {
        told = read_told(record.key, record.value).value();
      }
    }
    told.thing.revision = revision;
    return told;
  }
  Told last_told(std::int64_t revision) { return last_told("blue/" + device.id, revision); }

  Mended mend_now(const Told& told) {
    const auto mended =
        in_transaction(store, Scope::of(blue.tenant), {}, [&](Transaction& transaction) {
          return mend(transaction, told, {.at = clock.wall()}, uuids);
        });
    EXPECT_TRUE(mended) << mended.error().message();
    return mended.value_or(Mended::kNothing);
  }
  const OutboxRecord& last_record() { return store.rows().outbox.back(); }
  proto::DeviceChange last_change() {
    proto::DeviceChange change;
    EXPECT_TRUE(change.ParseFromString(last_record().value.value()));
    return change;
  }
  /// Who did what to what, of all that this service did by itself.
  std::vector<std::string> own_deeds() {
    std::vector<std::string> deeds;
    for (const OutboxRecord& record : store.rows().outbox) {
      common::v1::AuditRecord audit;
      if (record.topic != kAuditTopic) continue;
      EXPECT_TRUE(audit.ParseFromString(record.value.value()));
      if (audit.actor().kind() != common::v1::AUDIT_ACTOR_KIND_SERVICE) continue;
      EXPECT_EQ(audit.record_id().size(), 16U);
      EXPECT_EQ(audit.outcome(), common::v1::AUDIT_OUTCOME_DONE);
      EXPECT_EQ(record.key, audit.tenant());
      deeds.push_back(std::format("{} {} {} {}", audit.tenant(), audit.actor().id(), audit.action(),
                                  audit.target()));
    }
    return deeds;
  }
  Json stored() { return catalog.get(blue, kDevice, device.id)->fields; }

  sluice::testing::SimClock clock;
  sluice::testing::SimRandom random{1};
  UuidGenerator uuids{clock, random};
  testing::FakeStore store{clock};
  testing::FakeVault vault;
  Catalog catalog{store, vault, clock, random};
  Caller blue = testing::admin_of("blue");
  Resource device;
};

TEST(LostChanges, AreWhatWasToldAndIsNotStored) {
  const Told told{.thing = {.revision = 7}};
  EXPECT_FALSE(is_lost(told, Stored{.revision = 7}));
  EXPECT_FALSE(is_lost(told, Stored{.revision = 8}));
  EXPECT_TRUE(is_lost(told, Stored{.revision = 6}));
  EXPECT_TRUE(is_lost(told, std::nullopt));
  const Told gone{.is_gone = true};
  EXPECT_TRUE(is_lost(gone, Stored{.revision = 6}));
  EXPECT_FALSE(is_lost(gone, std::nullopt));
  const Told revoked{.thing = {.revision = 7}, .is_revoked = true};
  EXPECT_TRUE(is_lost(revoked, Stored{.revision = 8}));
  EXPECT_FALSE(is_lost(revoked, Stored{.revision = 8, .is_revoked = true}));
}

TEST(LostChanges, AreAllThatWasTold) {
  Told told{.thing = {.revision = 7}, .is_revoked = true, .active_credential_ids = {"a"}};
  told.follow({.thing = {.revision = 9}, .active_credential_ids = {"b"}});
  EXPECT_EQ(told.thing.revision, 9);
  EXPECT_TRUE(told.is_revoked) << "none takes a revocation back";
  EXPECT_EQ(told.active_credential_ids, std::vector<std::string>{"b"});
  told.follow({.thing = {.revision = 8}, .active_credential_ids = {"late"}});
  EXPECT_EQ(told.thing.revision, 9);
  EXPECT_EQ(told.active_credential_ids, std::vector<std::string>{"b"});

  told.follow({.is_gone = true});
  EXPECT_TRUE(told.is_gone);
  EXPECT_FALSE(told.is_revoked);
  EXPECT_EQ(told.thing.revision, 9) << "what is told next must be above it all the same";
  told.follow({.thing = {.revision = 5}, .active_credential_ids = {"c"}});
  EXPECT_FALSE(told.is_gone);
  EXPECT_FALSE(told.is_revoked);
  EXPECT_EQ(told.active_credential_ids, std::vector<std::string>{"c"});
}

TEST(LostChanges, AreReadFromRecordsOfAllKinds) {
  const std::string id = "0190a000-0000-7000-8000-000000000001";
  for (const auto& [kind, name] :
       {std::pair(kDevice, id), std::pair(kDeviceClass, std::string("m")),
        std::pair(kTopicPolicy, std::string("p")), std::pair(kTenant, std::string("blue"))}) {
    const std::string key = change_key(kind, TenantId("blue"), name);
    proto::DeviceChange change;
    change.set_revision(9);
    const auto told = read_told(key, change.SerializeAsString());
    ASSERT_TRUE(told) << key;
    EXPECT_EQ(told->thing.kind, kind) << key;
    EXPECT_EQ(told->thing.tenant.value(), "blue") << key;
    EXPECT_EQ(told->thing.id, name) << key;
    EXPECT_EQ(told->thing.revision, 9) << key;
    EXPECT_FALSE(told->is_gone) << key;
    EXPECT_TRUE(read_told(key, std::nullopt)->is_gone) << key;
    EXPECT_FALSE(read_told(key, "\xff")) << key;
    change.set_revision(std::numeric_limits<std::int64_t>::max());
    EXPECT_FALSE(read_told(key, change.SerializeAsString())) << "it leaves no room above it";
  }
  for (const char* key : {"", "blue", "blue/", "/$tenant", "blue/not-a-uuid", "blue/$class/",
                          "blue/$class/a/b", "blue/$other/x"}) {
    EXPECT_FALSE(read_told(key, std::nullopt)) << key;
  }
}

TEST_F(LostChangesTest, WhatWasChangedIsToldAnewAboveWhatFollowersKnow) {
  ASSERT_EQ(mend_now(last_told(kLater)), Mended::kToldAnew);
  const proto::DeviceChange change = last_change();
  EXPECT_GT(change.revision(), kLater);
  EXPECT_EQ(change.device().status(), proto::DEVICE_STATUS_ACTIVE);
  EXPECT_EQ(change.device().active_credential_ids().size(), 1);
  EXPECT_GT(
      catalog.set_device_status(blue, device.id, DeviceStatus::kRevoked, "", {})->resource.revision,
      change.revision());

  ASSERT_EQ(mend_now(last_told("blue/$class/meter", 2 * kLater)), Mended::kToldAnew);
  EXPECT_EQ(last_change().device_class().device_class(), "meter");
  EXPECT_GT(last_change().revision(), 2 * kLater);
}

TEST_F(LostChangesTest, WhatWasChangedMeanwhileIsLeft) {
  const Told told = last_told(device.revision + 1);
  ASSERT_TRUE(catalog.set_device_status(blue, device.id, DeviceStatus::kQuarantined, "", {}));
  const std::size_t before = store.rows().outbox.size();
  EXPECT_EQ(mend_now(told), Mended::kNothing);
  EXPECT_EQ(store.rows().outbox.size(), before);
}

TEST_F(LostChangesTest, WhatWasMadeIsToldGoneAndWhatWasDeletedIsTold) {
  Told made = last_told(kLater);
  made.thing.id = "0190a000-0000-7000-8000-000000000001";
  ASSERT_EQ(mend_now(made), Mended::kToldGone);
  EXPECT_EQ(last_record().key, "blue/" + made.thing.id);
  EXPECT_EQ(last_record().value, std::nullopt);

  const Told deleted{.thing = last_told(0).thing, .is_gone = true};
  ASSERT_EQ(mend_now(deleted), Mended::kToldAnew);
  EXPECT_EQ(last_change().device().device(), device.id);
  EXPECT_EQ(stored()["status"], "active");
}

TEST_F(LostChangesTest, ARevocationIsFinalAcrossARestore) {
  Told told = last_told(kLater);
  told.is_revoked = true;
  ASSERT_EQ(mend_now(told), Mended::kToldAnew);
  EXPECT_EQ(last_change().device().status(), proto::DEVICE_STATUS_REVOKED);
  EXPECT_EQ(stored()["status"], "revoked");
  EXPECT_EQ(own_deeds(), std::vector{"blue device-registry device.set_status device/" + device.id});
}

TEST_F(LostChangesTest, ARevocationIsFinalThoughTheDeviceWasWrittenSinceTheRestore) {
  const auto added =
      catalog.add_credential(blue, device.id, {{"kind", "psk"}, {"psk_identity", "d"}}, {});
  ASSERT_TRUE(added) << added.error().message();
  Told told = last_told(device.revision);
  told.is_revoked = true;
  std::erase(told.active_credential_ids, added->resource.id);
  ASSERT_EQ(mend_now(told), Mended::kToldAnew);
  EXPECT_EQ(last_change().device().status(), proto::DEVICE_STATUS_REVOKED);
  EXPECT_GT(last_change().revision(), added->resource.revision);
  EXPECT_EQ(last_change().device().active_credential_ids().size(), 2)
      << "what was told is older than the credential";
  EXPECT_EQ(stored()["status"], "revoked");
  EXPECT_EQ(mend_now(told), Mended::kNothing);
}

TEST_F(LostChangesTest, ACredentialThatWasRevokedStaysSo) {
  const auto second =
      catalog.add_credential(blue, device.id, {{"kind", "psk"}, {"psk_identity", "d"}}, {});
  ASSERT_TRUE(second) << second.error().message();
  Told told = last_told(kLater);
  ASSERT_EQ(told.active_credential_ids.size(), 2U);
  std::erase(told.active_credential_ids, second->resource.id);
  ASSERT_EQ(mend_now(told), Mended::kToldAnew);
  EXPECT_EQ(last_change().device().active_credential_ids().size(), 1);
  EXPECT_TRUE(
      catalog.get_credential(blue, device.id, second->resource.id)->fields.contains("revoked_at"));
  EXPECT_EQ(own_deeds(), std::vector{"blue device-registry credential.revoke credential/" +
                                     second->resource.id});
}

}  // namespace
}  // namespace sluice::registry
