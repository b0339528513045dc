// Bulk registration, and what is left of it when the program is killed in the middle.
#include "registry_process.h"

#include <csignal>
#include <format>
#include <set>

#include <sluice/testing/eventually.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::registry::testing {
namespace {

std::string lines_of(int count, const std::string& more = "") {
  std::string lines;
  for (int i = 0; i < count; ++i) {
    lines += std::format("{{\"external_id\":\"d{}\",\"device_class\":\"c\"{}}}\n", i, more);
  }
  return lines;
}

std::size_t count_devices(const RegistryProcess& registry, const std::string& key) {
  std::size_t count = 0;
  std::string token;
  do {
    const Json page =
        registry
            .get("/v1/devices?page_size=1000" + (token.empty() ? "" : "&page_token=" + token), key)
            .json();
    count += page["items"].size();
    token = page.value("next_page_token", "");
  } while (!token.empty());
  return count;
}

class Import : public ::testing::Test {
 protected:
  RegistryProcess& registry = shared_registry();
  RegistryProcess::Tenant tenant = registry.make_tenant();
};

TEST_F(Import, RegistersEveryLineAndSaysHowMany) {
  const Json operation = registry.import(tenant.operator_, lines_of(5000));
  EXPECT_EQ(operation["state"], "succeeded");
  EXPECT_EQ(operation["lines_read"], 5000);
  EXPECT_EQ(operation["devices_written"], 5000);
  EXPECT_EQ(operation["faulty_lines"], 0);
  EXPECT_EQ(count_devices(registry, tenant.viewer), 5000U);
}

TEST_F(Import, FaultyLinesAreToldByNumberAndNothingIsKept) {
  const std::string lines =
      "{\"external_id\":\"a\",\"device_class\":\"c\"}\n"
      "not json\n"
      "\n"
      "{\"external_id\":\"b\",\"device_class\":7,\"colour\":\"red\"}\r\n"
      "{\"device_class\":\"c\"}\n"
      "{\"external_id\":\"a\",\"device_class\":\"c\"}\n"
      "{\"external_id\":\"c\",\"device_class\":\"c\",\"fleet_id\":\"nowhere\"}";
  const Json operation = registry.import(tenant.operator_, lines);
  EXPECT_EQ(operation["state"], "failed");
  EXPECT_EQ(operation["reason"], "faulty_lines");
  std::set<std::pair<int, std::string>> faults;
  for (const Json& fault : operation["faults"]) {
    faults.emplace(fault["line"].get<int>(), fault.value("pointer", ""));
    EXPECT_FALSE(fault["detail"].get<std::string>().empty());
  }
  EXPECT_THAT(faults,
              ::testing::IsSupersetOf(std::set<std::pair<int, std::string>>{{2, ""},
                                                                            {4, "/device_class"},
                                                                            {4, "/colour"},
                                                                            {5, "/external_id"},
                                                                            {6, "/external_id"}}));
  EXPECT_EQ(count_devices(registry, tenant.viewer), 0U);
}

TEST_F(Import, UploadingAgainSkipsWhatExists) {
  ASSERT_EQ(registry.import(tenant.operator_, lines_of(10))["devices_written"], 10);
  const Json again = registry.import(tenant.operator_, lines_of(15));
  EXPECT_EQ(again["state"], "succeeded");
  EXPECT_EQ(again["devices_written"], 5);
  EXPECT_EQ(again["devices_skipped"], 10);
}

TEST_F(Import, AKeyFindsItsOperationAndRefusesAnotherUpload) {
  const auto upload = [&](const std::string& lines) {
    return registry.call({"POST",
                          "/v1/devices:import?import_key=k1",
                          tenant.operator_,
                          lines,
                          {{"Content-Type", "application/x-ndjson"}}});
  };
  const Answer first = upload(lines_of(3));
  ASSERT_EQ(first.status, 202) << first.body;
  const std::string id = first.json()["operation_id"];
  EXPECT_EQ(first.header("Location"), "/v1/operations/" + id);
  ASSERT_EQ(registry.wait_for_operation(tenant.operator_, id)["state"], "succeeded");
  EXPECT_EQ(upload(lines_of(3)).json()["operation_id"], id);
  EXPECT_EQ(upload(lines_of(4)).status, 422);
}

TEST_F(Import, TokensAreHandedOver) {
  const Json operation = registry.import(tenant.operator_, lines_of(3), "?issue_tokens=true");
  ASSERT_EQ(operation["state"], "succeeded") << operation;
  EXPECT_EQ(operation["has_result"], true);
  const std::string path =
      "/v1/operations/" + operation["operation_id"].get<std::string>() + ":take-result";
  const Answer taken = registry.call({"POST", path, tenant.operator_, ""});
  ASSERT_EQ(taken.status, 200) << taken.body;
  EXPECT_EQ(taken.header("Content-Type"), "application/x-ndjson");
  EXPECT_EQ(std::ranges::count(taken.body, '\n'), 3);
  const Json first = Json::parse(taken.body.substr(0, taken.body.find('\n')));
  EXPECT_TRUE(first["auth_token"].get<std::string>().starts_with("sld_"));
  EXPECT_EQ(registry.get("/v1/devices/" + first["device_id"].get<std::string>(), tenant.viewer)
                .json()["external_id"],
            first["external_id"]);
  const Answer again = registry.call({"POST", path, tenant.operator_, ""});
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.body, taken.body);
}

TEST_F(Import, TokensAreNotKeptUnderAnIdempotencyKey) {
  const Json operation = registry.import(tenant.operator_, lines_of(1), "?issue_tokens=true");
  const std::string path =
      "/v1/operations/" + operation["operation_id"].get<std::string>() + ":take-result";
  const Answer refused =
      registry.call({"POST", path, tenant.operator_, "", {{"Idempotency-Key", "k"}}});
  EXPECT_EQ(refused.status, 400) << refused.body;
  EXPECT_EQ(refused.faulty_fields(), std::vector<std::string>{"Idempotency-Key"});
  EXPECT_EQ(registry.call({"POST", path, tenant.operator_, ""}).status, 200);
}

TEST_F(Import, TokensOfALargeUploadCanBeFetched) {
  constexpr int kLines = 120'000;  // their tokens are about 20 MB
  const Json operation = registry.import(tenant.operator_, lines_of(kLines), "?issue_tokens=true");
  ASSERT_EQ(operation["state"], "succeeded") << operation;
  const std::string path =
      "/v1/operations/" + operation["operation_id"].get<std::string>() + ":take-result";
  const Answer taken = registry.call({"POST", path, tenant.operator_, ""});
  ASSERT_EQ(taken.status, 200) << taken.body.substr(0, 1000);
  EXPECT_EQ(std::ranges::count(taken.body, '\n'), kLines);
}

TEST_F(Import, ATryOutTellsTheFaultsAndKeepsNothing) {
  EXPECT_EQ(registry.import(tenant.operator_, lines_of(3), "?dry_run=true")["state"], "succeeded");
  EXPECT_EQ(registry.import(tenant.operator_, "nonsense\n", "?dry_run=true")["faulty_lines"], 1);
  EXPECT_EQ(count_devices(registry, tenant.viewer), 0U);
}

TEST(ImportKilled, LeavesNothingHalfWrittenAndCanBeRepeated) {
  RegistryProcess registry({{"SLUICE_IMPORT_BATCH_LINES", "500"}});
  registry.start({{"SLUICE_CRASH_POINT", "registry_import_after_batch:3"}});
  const auto tenant = registry.make_tenant();
  const std::string lines = lines_of(3000);
  const Answer taken = registry.call({"POST",
                                      "/v1/devices:import?import_key=k",
                                      tenant.operator_,
                                      lines,
                                      {{"Content-Type", "application/x-ndjson"}}});
  ASSERT_EQ(taken.status, 202) << taken.body;
  ASSERT_EQ(registry.process().wait(),
            sluice::testing::ExitStatus({.code = {}, .signal = SIGKILL}));

  registry.start();
  EXPECT_EQ(count_devices(registry, tenant.viewer), 0U);
  EXPECT_EQ(registry.database().query_value("SELECT count(*) FROM device_registry.credentials"),
            "0");
  // Another key, because the first one's operation is taken for alive until it has been silent for
  // a while.
  const Json again = registry.import(tenant.operator_, lines, "?import_key=k2");
  EXPECT_EQ(again["state"], "succeeded") << again;
  EXPECT_EQ(count_devices(registry, tenant.viewer), 3000U);
  registry.stop();
}

TEST(ImportKilled, BeforeTheCommitNothingWasPublished) {
  RegistryProcess registry;
  registry.start({{"SLUICE_CRASH_POINT", "registry_import_before_commit"}});
  const auto tenant = registry.make_tenant();
  static_cast<void>(registry.call({"POST",
                                   "/v1/devices:import",
                                   tenant.operator_,
                                   lines_of(100),
                                   {{"Content-Type", "application/x-ndjson"}}}));
  ASSERT_EQ(registry.process().wait(),
            sluice::testing::ExitStatus({.code = {}, .signal = SIGKILL}));
  EXPECT_EQ(
      registry.database().query_value(
          "SELECT count(*) FROM device_registry.outbox WHERE key LIKE '" + tenant.id + "/%-%'"),
      "0");
  registry.start();
  EXPECT_EQ(count_devices(registry, tenant.viewer), 0U);
  registry.stop();
}

TEST(ImportBounds, MoreImportsThanPlacesAreRefused) {
  RegistryProcess registry({{"SLUICE_IMPORT_MAX_PENDING", "1"}, {"SLUICE_IMPORT_WORKERS", "1"}});
  registry.start();
  const auto tenant = registry.make_tenant();
  const Answer first = registry.call({"POST",
                                      "/v1/devices:import",
                                      tenant.operator_,
                                      lines_of(50'000),
                                      {{"Content-Type", "application/x-ndjson"}}});
  ASSERT_EQ(first.status, 202) << first.body;
  const Answer second = registry.call({"POST",
                                       "/v1/devices:import",
                                       tenant.operator_,
                                       lines_of(1),
                                       {{"Content-Type", "application/x-ndjson"}}});
  EXPECT_EQ(second.status, 429) << second.body;
  EXPECT_EQ(second.reason(), "too_many_imports");
  // And a service that is told to end ends, with the work it could not finish marked so.
  registry.stop();
}

}  // namespace
}  // namespace sluice::registry::testing
