#include "core/catalog.h"

#include "core/bootstrap.h"
#include "testing/fake_store.h"
#include "testing/fake_vault.h"

#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::registry {
namespace {

using testing::FakeStore;
using testing::FakeVault;

Caller caller_of(std::string tenant, Role role) {
  return {.home = TenantId(tenant), .tenant = TenantId(tenant), .role = role, .id = "me"};
}

class CatalogTest : public ::testing::Test {
 protected:
  CatalogTest() {
    const auto made = store.run(Scope::all_tenants(), {}, [](Transaction& transaction) -> Result<> {
      SLUICE_TRY(transaction.ensure_tenant("platform"));
      return transaction.ensure_tenant("blue");
    });
    EXPECT_TRUE(made);
  }

  Resource new_device() {
    return catalog.create(admin, ResourceKind::kDevice, {{"device_class", "meter"}}, {})->resource;
  }
  std::vector<FieldFault> faults_of(ResourceKind kind, const Json& body) {
    const auto written = catalog.create(admin, kind, body, {});
    return written ? std::vector<FieldFault>() : written.error().faults();
  }

  sluice::testing::SimClock clock;
  sluice::testing::SimRandom random{1};
  FakeStore store{clock};
  FakeVault vault;
  Catalog catalog{store, vault, clock, random};
  Caller admin = caller_of("blue", Role::kAdmin);
};

TEST_F(CatalogTest, ShowsTheTokenOfANewDeviceOnce) {
  const auto written =
      catalog.create(admin, ResourceKind::kDevice, {{"device_class", "meter"}}, {});
  ASSERT_TRUE(written);
  EXPECT_TRUE(text_at(written->shown_once, "auth_token").starts_with("sld_"));
  const Json stored = catalog.get(admin, ResourceKind::kDevice, written->resource.id)->fields;
  EXPECT_EQ(stored.dump().find("sld_"), std::string::npos);
  for (const OutboxRecord& record : store.rows().outbox)
    EXPECT_EQ(record.value->find("sld_"), std::string::npos);
}

TEST_F(CatalogTest, EndsAPageThatGrowsTooLong) {
  const Json metadata{{"text", std::string(16'000, 'x')}};
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(catalog.create(
        admin, ResourceKind::kDevice,
        {{"device_class", "m"}, {"issue_token", false}, {"metadata", metadata}}, {}));
  }
  ListRequest request{.page_size = 1000};
  const auto first = catalog.list(admin, ResourceKind::kDevice, request);
  ASSERT_TRUE(first);
  EXPECT_LE(first->items.size() * 16'000, kMaxPageBytes);
  EXPECT_GT(first->items.size(), 200U);
  request.page_token = first->next_page_token;
  ASSERT_FALSE(request.page_token.empty());
  const auto rest = catalog.list(admin, ResourceKind::kDevice, request);
  ASSERT_TRUE(rest);
  EXPECT_EQ(first->items.size() + rest->items.size(), 300U);
  EXPECT_TRUE(rest->next_page_token.empty());
}

TEST_F(CatalogTest, GivesADeviceABoundedNumberOfCredentials) {
  const std::string id = new_device().id;  // has one
  std::string last;
  for (std::size_t i = 1; i < kMaxActiveCredentials; ++i) {
    last = catalog.add_credential(admin, id, {{"kind", "token"}}, {})->resource.id;
  }
  const auto more = catalog.add_credential(admin, id, {{"kind", "token"}}, {});
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().reason(), "too_many_credentials");
  ASSERT_TRUE(catalog.revoke_credential(admin, id, last, {}));
  EXPECT_TRUE(catalog.add_credential(admin, id, {{"kind", "token"}}, {}));
}

TEST_F(CatalogTest, MakesKeysOfThePlatformForAdminsOnly) {
  const Caller platform = caller_of("platform", Role::kAdmin);
  for (const char* role : {"viewer", "operator"}) {
    const auto key =
        catalog.create(platform, ResourceKind::kApiKey, {{"name", "n"}, {"role", role}}, {});
    ASSERT_FALSE(key) << role;
    EXPECT_EQ(key.error().faults().at(0).field, "/role");
  }
  EXPECT_TRUE(
      catalog.create(platform, ResourceKind::kApiKey, {{"name", "n"}, {"role", "admin"}}, {}));
}

TEST_F(CatalogTest, IssuesNoTokenWhereNoneIsWanted) {
  const auto written = catalog.create(admin, ResourceKind::kDevice,
                                      {{"device_class", "meter"}, {"issue_token", false}}, {});
  EXPECT_TRUE(written->shown_once.empty());
  EXPECT_TRUE(store.rows().secrets.empty());
}

TEST_F(CatalogTest, NamesEveryFaultOfABody) {
  const auto faults = faults_of(ResourceKind::kDevice,
                                {{"device_class", "a/b"}, {"status", "revoked"}, {"colour", 1}});
  std::vector<std::string> fields;
  for (const FieldFault& fault : faults) fields.push_back(fault.field);
  std::ranges::sort(fields);
  EXPECT_EQ(fields, (std::vector<std::string>{"/colour", "/device_class", "/status"}));
}

TEST_F(CatalogTest, RefusesAPolicyThatLeavesItsTenant) {
  const auto faults =
      faults_of(ResourceKind::kTopicPolicy,
                {{"topic_policy_id", "p"}, {"rules", {{{"action", "publish"}, {"topic", "#"}}}}});
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0].field, "/rules/0/topic");
}

TEST_F(CatalogTest, RefusesRolesThatAreTooLow) {
  const auto reason = [](const auto& result) {
    return result ? std::string("allowed") : result.error().reason();
  };
  const Caller viewer = caller_of("blue", Role::kViewer);
  const Caller operator_ = caller_of("blue", Role::kOperator);
  EXPECT_EQ(reason(catalog.list(viewer, ResourceKind::kDevice, {})), "allowed");
  EXPECT_EQ(reason(catalog.create(viewer, ResourceKind::kDevice, {{"device_class", "m"}}, {})),
            "role_too_low");
  EXPECT_EQ(reason(catalog.create(operator_, ResourceKind::kDevice, {{"device_class", "m"}}, {})),
            "allowed");
  EXPECT_EQ(
      reason(catalog.create(operator_, ResourceKind::kDeviceClass, {{"device_class_id", "c"}}, {})),
      "role_too_low");
  EXPECT_EQ(reason(catalog.list(operator_, ResourceKind::kApiKey, {})), "role_too_low");
  EXPECT_EQ(reason(catalog.list(admin, ResourceKind::kTenant, {})), "platform_only");
}

TEST_F(CatalogTest, LetsOnlyThePlatformActInAnotherTenant) {
  Caller stranger = caller_of("red", Role::kAdmin);
  stranger.tenant = TenantId("blue");
  const auto refused = catalog.list(stranger, ResourceKind::kDevice, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason(), "foreign_tenant");

  Caller platform = caller_of("platform", Role::kAdmin);
  EXPECT_TRUE(catalog.create(platform, ResourceKind::kTenant, {{"tenant_id", "green"}}, {}));
  platform.tenant = TenantId("green");
  EXPECT_TRUE(
      catalog.create(platform, ResourceKind::kApiKey, {{"name", "first"}, {"role", "admin"}}, {}));
  platform.role = Role::kOperator;
  EXPECT_FALSE(catalog.list(platform, ResourceKind::kDevice, {}));
}

TEST_F(CatalogTest, ChangesAStatusAndNeverBackFromRevoked) {
  const Resource device = new_device();
  using enum DeviceStatus;
  for (const DeviceStatus status : {kInactive, kActive, kQuarantined, kActive, kRevoked}) {
    const auto written = catalog.set_device_status(admin, device.id, status, "why", {});
    ASSERT_TRUE(written) << written.error().message();
    EXPECT_EQ(written->resource.fields["status"], to_string(status));
    EXPECT_EQ(written->resource.fields["status_reason"], "why");
  }
  const auto back = catalog.set_device_status(admin, device.id, kActive, "", {});
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().reason(), "illegal_transition");
}

TEST_F(CatalogTest, RepeatingAVerbChangesNothing) {
  const Resource device = new_device();
  ASSERT_TRUE(catalog.set_device_status(admin, device.id, DeviceStatus::kQuarantined, "", {}));
  const std::size_t records = store.rows().outbox.size();
  const auto again =
      catalog.set_device_status(admin, device.id, DeviceStatus::kQuarantined, "", {});
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->is_changed);
  EXPECT_EQ(store.rows().outbox.size(), records);
}

TEST_F(CatalogTest, PatchesAsRfc7396Says) {
  ASSERT_TRUE(catalog.create(
      admin, ResourceKind::kFleet,
      {{"fleet_id", "f"}, {"name", "Old"}, {"metadata", {{"a", 1}, {"b", {{"c", 2}}}}}}, {}));
  const auto patched =
      catalog.update(admin, ResourceKind::kFleet, "f",
                     {{"name", nullptr}, {"metadata", {{"a", nullptr}, {"b", {{"d", 3}}}}}}, {});
  ASSERT_TRUE(patched) << patched.error().message();
  EXPECT_FALSE(patched->resource.fields.contains("name"));
  EXPECT_EQ(patched->resource.fields["metadata"], (Json{{"b", {{"c", 2}, {"d", 3}}}}));
}

TEST_F(CatalogTest, RefusesAPatchOfWhatCannotChange) {
  const Resource device = new_device();
  for (const Json& patch :
       {Json{{"device_id", "x"}}, Json{{"status", "active"}}, Json{{"device_class", nullptr}},
        Json{{"colour", nullptr}}, Json::array()}) {
    const auto patched = catalog.update(admin, ResourceKind::kDevice, device.id, patch, {});
    ASSERT_FALSE(patched) << patch.dump();
    EXPECT_EQ(patched.error().code(), ErrorCode::kInvalidArgument) << patch.dump();
    EXPECT_EQ(patched.error().faults().size(), 1U) << patch.dump();
  }
}

TEST_F(CatalogTest, APatchThatChangesNothingKeepsTheRevision) {
  const Resource device = new_device();
  const auto patched =
      catalog.update(admin, ResourceKind::kDevice, device.id, {{"device_class", "meter"}}, {});
  ASSERT_TRUE(patched);
  EXPECT_FALSE(patched->is_changed);
  EXPECT_EQ(patched->resource.revision, device.revision);
}

TEST_F(CatalogTest, KeepsTheAnswerInTheSameTransaction) {
  store.rows().answers["blue/me/k"] = {};
  WriteOptions options;
  options.keep_answer = KeepAnswer{
      .subject = "me", .key = "k", .render = [](const Written& w) { return w.resource.id; }};
  const auto written =
      catalog.create(admin, ResourceKind::kDevice, {{"device_class", "meter"}}, options);
  ASSERT_TRUE(written);
  EXPECT_EQ(vault.open(store.rows().answers["blue/me/k"].sealed.value(),
                       answer_seal_context(TenantId("blue"), "me", "k")),
            written->resource.id);

  // Another run of the request has won: nothing of this one is kept.
  const std::size_t rows = store.rows().resources.size();
  const auto late =
      catalog.create(admin, ResourceKind::kDevice, {{"device_class", "meter"}}, options);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason(), "answer_exists");
  EXPECT_EQ(store.rows().resources.size(), rows);
}

TEST_F(CatalogTest, AuditsWhoDidWhatWithoutValues) {
  const Resource device = new_device();
  Caller caller = admin;
  caller.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  ASSERT_TRUE(catalog.update(caller, ResourceKind::kDevice, device.id, {{"model", "hush"}}, {}));
  common::v1::AuditRecord audit;
  const OutboxRecord& record = store.rows().outbox.back();
  ASSERT_EQ(record.topic, "audit");
  EXPECT_EQ(record.traceparent, caller.traceparent);
  ASSERT_TRUE(audit.ParseFromString(*record.value));
  EXPECT_EQ(audit.action(), "device.update");
  EXPECT_EQ(audit.target(), "device/" + device.id);
  EXPECT_EQ(audit.actor().id(), "me");
  ASSERT_EQ(audit.changed_fields_size(), 1);
  EXPECT_EQ(audit.changed_fields(0), "model");
  EXPECT_EQ(record.value->find("hush"), std::string::npos);
}

TEST_F(CatalogTest, RefusesAPageTokenOfAnotherQuestion) {
  for (int i = 0; i < 3; ++i) new_device();
  const auto page = catalog.list(admin, ResourceKind::kDevice, {.page_size = 2});
  ASSERT_FALSE(page->next_page_token.empty());
  const auto other = catalog.list(
      admin, ResourceKind::kDevice,
      {.filter = "status = \"active\"", .page_token = page->next_page_token, .page_size = 2});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().faults().at(0).field, "page_token");
}

TEST_F(CatalogTest, KeepsThePlatformTenant) {
  const Caller platform = caller_of("platform", Role::kAdmin);
  EXPECT_FALSE(catalog.remove(platform, ResourceKind::kTenant, "platform", {}));
  EXPECT_FALSE(
      catalog.update(platform, ResourceKind::kTenant, "platform", {{"status", "suspended"}}, {}));
}

TEST_F(CatalogTest, BootstrapMakesOneKeyHoweverOftenItRuns) {
  const std::string key = "slk_abcdefghijkl_" + std::string(43, 'x');
  const Bootstrap bootstrap{.tenant = TenantId("green"), .key_name = "first", .api_key = key};
  ASSERT_TRUE(ensure_operator_key(store, vault, bootstrap));
  ASSERT_TRUE(ensure_operator_key(store, vault, bootstrap));
  const auto keys = catalog.list(caller_of("green", Role::kAdmin), ResourceKind::kApiKey, {});
  ASSERT_EQ(keys->items.size(), 1U);
  EXPECT_EQ(keys->items[0].fields["role"], "admin");
  EXPECT_FALSE(ensure_operator_key(store, vault,
                                   {.tenant = TenantId("blue"), .key_name = "x", .api_key = key}));
}

}  // namespace
}  // namespace sluice::registry
