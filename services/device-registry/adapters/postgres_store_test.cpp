#include "adapters/postgres_store.h"

#include "adapters/answer_seal.h"
#include "adapters/postgres_presence.h"
#include "adapters/postgres_transaction.h"
#include "testing/registry_database.h"
#include "testing/store_contract.h"

#include <array>
#include <csignal>

#include <sluice/postgres/transaction.h>
#include <sluice/testing/child_process.h>
#include <sluice/testing/environment.h>

#include <gtest/gtest.h>

namespace sluice::registry::testing {
namespace {

class PostgresUnderTest final : public StoreUnderTest {
 public:
  Store& store() override { return store_; }
  const Clock& clock() override { return database_.opened.clock; }
  std::vector<OutboxRecord> outbox() override {
    std::vector<OutboxRecord> records;
    const auto read = postgres::run_transaction(
        database_.pool(), {.all_tenants = true}, [&](postgres::Transaction& sql) -> Result<> {
          SLUICE_TRY_ASSIGN(
              const postgres::Rows rows,
              sql.query("SELECT topic, key, value, traceparent FROM outbox ORDER BY outbox_id"));
          for (const postgres::Row& row : rows) {
            records.push_back({.topic = row.get<std::string>("topic"),
                               .key = row.get<std::string>("key"),
                               .value = row.optional_bytes("value"),
                               .traceparent = row.get<std::string>("traceparent")});
          }
          return {};
        });
    EXPECT_TRUE(read) << read.error().message();
    return records;
  }

 private:
  RegistryDatabase database_;
  PostgresStore store_{database_.pool()};
};

std::unique_ptr<StoreUnderTest> make_postgres() { return std::make_unique<PostgresUnderTest>(); }
INSTANTIATE_TEST_SUITE_P(Postgres, StoreContract, ::testing::Values(make_postgres));

class PostgresStoreTest : public ::testing::Test {
 protected:
  PostgresStoreTest() {
    const auto made = store.run(Scope::all_tenants(), {}, [](Transaction& transaction) -> Result<> {
      for (const char* tenant : {"blue", "red"}) SLUICE_TRY(transaction.ensure_tenant(tenant));
      return {};
    });
    EXPECT_TRUE(made) << made.error().message();
  }

  /// Puts a row of the tenant into every table.
  void fill(const std::string& tenant) {
    const Caller admin = admin_of(tenant);
    EXPECT_TRUE(catalog.create(admin, ResourceKind::kFleet, {{"fleet_id", "f"}}, {}));
    EXPECT_TRUE(catalog.create(admin, ResourceKind::kTopicPolicy,
                               {{"topic_policy_id", "p"}, {"rules", Json::array()}}, {}));
    const auto device =
        catalog.create(admin, ResourceKind::kDevice,
                       {{"device_class", "m"}, {"fleet_id", "f"}, {"metadata", {{"a", 1}}}}, {});
    ASSERT_TRUE(device);
    const PresenceFold::Change seen{{.tenant = tenant, .device = device->resource.id},
                                    {.last_seen_at = WallTime(std::chrono::seconds(1))}};
    EXPECT_TRUE(PostgresPresence(database.pool()).merge(std::array{&seen}));
    EXPECT_TRUE(
        catalog.create(admin, ResourceKind::kApiKey, {{"name", "n"}, {"role", "viewer"}}, {}));
    const ImportRequest request{.issue_tokens = true};
    const auto begun = importer.begin(admin, request);
    ASSERT_TRUE(begun);
    TextLines line("{\"external_id\":\"e\",\"device_class\":\"m\"}");
    EXPECT_TRUE(importer.run(admin, begun->operation.id, request, line, {}));
    const VaultAnswerSeal seal(vault);
    AnswerStore answers(database.pool(), seal);
    EXPECT_TRUE(
        answers.begin({.tenant = admin.tenant, .subject = "s", .key = "k", .request_hash = "h"}));
  }
  std::vector<std::string> tables() {
    std::vector<std::string> names;
    const auto read =
        postgres::run_transaction(database.pool(), {}, [&](postgres::Transaction& sql) -> Result<> {
          SLUICE_TRY_ASSIGN(
              const postgres::Rows rows,
              sql.query("SELECT tablename FROM pg_tables WHERE schemaname = 'device_registry' "
                        "AND tablename <> 'schema_migrations' ORDER BY tablename"));
          for (const postgres::Row& row : rows) names.push_back(row.get<std::string>("tablename"));
          return {};
        });
    EXPECT_TRUE(read) << read.error().message();
    return names;
  }
  std::int64_t count(const postgres::TransactionOptions& options, const std::string& table,
                     const std::string& where = "true") {
    const std::string text = std::format("SELECT count(*) AS n FROM {} WHERE {}", table, where);
    const auto rows =
        postgres::transaction(database.pool(), options, [&](postgres::Transaction& sql) {
          return sql.query(postgres::Sql::from_trusted_text(text));
        });
    EXPECT_TRUE(rows) << rows.error().message();
    return rows ? rows->one().get<std::int64_t>("n") : -1;
  }

  /// How PostgreSQL finds the first devices of a filter.
  std::string plan_of(const std::string& filter) {
    ListQuery query{.filter = *parse_filter(filter, info_of(ResourceKind::kDevice)),
                    .order = *parse_order("", info_of(ResourceKind::kDevice)),
                    .limit = 10};
    const postgres::Statement list = list_statement(ResourceKind::kDevice, blue, query);
    const std::string explain = "EXPLAIN (FORMAT TEXT) " + list.text();
    std::string text;
    const auto read = postgres::run_transaction(
        database.pool(), {.tenant = blue}, [&](postgres::Transaction& sql) -> Result<> {
          SLUICE_TRY_ASSIGN(const postgres::Rows rows,
                            sql.query(postgres::Sql::from_trusted_text(explain), list.params()));
          text.clear();
          for (const postgres::Row& row : rows) text += row.get<std::string>("QUERY PLAN") + "\n";
          return {};
        });
    EXPECT_TRUE(read) << read.error().message();
    return text;
  }

  RegistryDatabase database;
  PostgresStore store{database.pool()};
  FakeVault vault;
  Catalog catalog{store, vault, database.opened.clock, database.opened.random};
  Importer importer{
      store, vault, database.opened.clock, database.opened.random, {.batch_lines = 100}};
  const TenantId blue{"blue"};
  const TenantId red{"red"};
};

TEST_F(PostgresStoreTest, RowSecurityShowsATenantItsOwnRowsOnly) {
  fill("blue");
  fill("red");
  const std::vector<std::string> all = tables();
  EXPECT_EQ(all.size(), 13U);
  for (const std::string& table : all) {
    EXPECT_GT(count({.tenant = blue}, table), 0) << table;
    EXPECT_EQ(count({.tenant = blue}, table, "tenant_id <> 'blue'"), 0) << table;
    EXPECT_EQ(count({.tenant = TenantId("green")}, table), 0) << table;
    EXPECT_EQ(count({}, table), 0) << table << " shows rows to a transaction without tenant";
    EXPECT_GE(count({.all_tenants = true}, table), 2) << table;
  }
}

TEST_F(PostgresStoreTest, RowSecurityRefusesToWriteForAnotherTenant) {
  fill("red");
  for (const std::string& table : tables()) {
    const std::string steal =
        std::format("UPDATE {} SET tenant_id = 'blue' WHERE tenant_id = 'red'", table);
    const auto stolen =
        postgres::transaction(database.pool(), {.tenant = blue}, [&](postgres::Transaction& sql) {
          return sql.execute(postgres::Sql::from_trusted_text(steal));
        });
    EXPECT_EQ(stolen, 0) << table;
    const auto given =
        postgres::transaction(database.pool(), {.tenant = red}, [&](postgres::Transaction& sql) {
          return sql.execute(postgres::Sql::from_trusted_text(steal));
        });
    ASSERT_FALSE(given) << table;
    EXPECT_EQ(given.error().code(), ErrorCode::kPermissionDenied) << table;
  }
}

TEST_F(PostgresStoreTest, AttributesAreFoundThroughTheirIndex) {
  std::string lines;
  for (int i = 0; i < 2000; ++i) {
    lines += std::format(
        "{{\"external_id\":\"e{}\",\"device_class\":\"m\",\"metadata\":{{\"n\":{}}}}}\n", i, i);
  }
  const Caller admin = admin_of("blue");
  const auto begun = importer.begin(admin, {});
  TextLines source(lines);
  ASSERT_EQ(importer.run(admin, begun->operation.id, {}, source, {})->state,
            Operation::State::kSucceeded);
  database.database.execute("ANALYZE device_registry.devices, device_registry.device_attributes");

  const std::string plan = plan_of("metadata.n = 77");
  EXPECT_NE(plan.find("device_attributes_pkey"), std::string::npos) << plan;
  EXPECT_EQ(plan.find("Seq Scan on devices"), std::string::npos) << plan;
}

TEST_F(PostgresStoreTest, StatusesOtherThanActiveAreFoundThroughTheirIndex) {
  std::string lines;
  for (int i = 0; i < 2000; ++i) {
    lines += std::format("{{\"external_id\":\"e{}\",\"device_class\":\"m\"{}}}\n", i,
                         i % 500 == 0 ? ",\"status\":\"inactive\"" : "");
  }
  const Caller admin = admin_of("blue");
  const auto begun = importer.begin(admin, {});
  TextLines source(lines);
  ASSERT_EQ(importer.run(admin, begun->operation.id, {}, source, {})->state,
            Operation::State::kSucceeded);
  database.database.execute("ANALYZE device_registry.devices");
  EXPECT_NE(plan_of("status != \"active\"").find("devices_by_status"), std::string::npos)
      << plan_of("status != \"active\"");
}

TEST_F(PostgresStoreTest, AnImportHoldsUpNobody) {
  const Caller admin = admin_of("blue");
  ASSERT_TRUE(catalog.create(admin, ResourceKind::kFleet, {{"fleet_id", "f"}}, {}));
  /// Lines that, between them, do what others do while an import is at work.
  class BusyLines final : public LineSource {
   public:
    explicit BusyLines(std::function<void()> meanwhile) : meanwhile_(std::move(meanwhile)) {}
    Result<> read(const Line& line) override {
      SLUICE_TRY(line(R"({"external_id":"a","device_class":"new","fleet_id":"f"})", 1));
      meanwhile_();
      return line(R"({"external_id":"b","device_class":"new","fleet_id":"f"})", 2);
    }

   private:
    std::function<void()> meanwhile_;
  };
  Importer by_line{store, vault, database.opened.clock, database.opened.random, {.batch_lines = 1}};
  const auto begun = by_line.begin(admin, {});
  bool is_done = false;
  BusyLines lines([&] {
    const Store::RunOptions brief{.timeout = std::chrono::seconds(5)};
    const auto locked = store.run(Scope::of(blue), brief, [](Transaction& transaction) -> Result<> {
      SLUICE_TRY_ASSIGN(Resource fleet,
                        transaction.find(ResourceKind::kFleet, "f", Transaction::Lock::kUpdate));
      fleet.fields["name"] = "F";
      SLUICE_TRY(transaction.update(fleet));
      SLUICE_TRY(transaction.ensure_device_class("new"));
      return {};
    });
    EXPECT_TRUE(locked) << locked.error().message();
    is_done = true;
  });
  const auto operation = by_line.run(admin, begun->operation.id, {}, lines, {});
  ASSERT_TRUE(operation) << operation.error().message();
  EXPECT_EQ(operation->fields["devices_written"], 2) << operation->fields.dump();
  EXPECT_TRUE(is_done);
}

TEST_F(PostgresStoreTest, ATenantOfARemovedOnesIdHasNoneOfItsAnswers) {
  const Caller platform = admin_of("platform");
  const VaultAnswerSeal seal(vault);
  AnswerStore answers(database.pool(), seal);
  const http::IdempotencyKey key{.tenant = red, .subject = "s", .key = "k", .request_hash = "h"};
  http::StoredResponse response;
  response.status = 201;
  ASSERT_TRUE(answers.begin(key));
  ASSERT_TRUE(answers.complete(key, response));
  ASSERT_EQ(answers.begin(key)->state, http::IdempotencyStore::State::kReplay);
  ASSERT_TRUE(catalog.remove(platform, ResourceKind::kTenant, "red", {}));
  EXPECT_EQ(count({.all_tenants = true}, "answers"), 0);
  // Left by a request that was under way.
  ASSERT_TRUE(answers.begin(key));
  ASSERT_TRUE(answers.complete(key, response));
  ASSERT_TRUE(catalog.create(platform, ResourceKind::kTenant, {{"tenant_id", "red"}}, {}));
  EXPECT_EQ(answers.begin(key)->state, http::IdempotencyStore::State::kFresh);
}

TEST_F(PostgresStoreTest, ResultsAreForgottenAnHourAfterTheyWereTaken) {
  fill("blue");
  const std::string taken = "UPDATE device_registry.operations SET taken_at = now() - interval ";
  const auto results = [&] { return count({.all_tenants = true}, "operation_results"); };
  database.database.execute(taken + "'59 minutes'");
  ASSERT_TRUE(sweep_store(database.pool()));
  EXPECT_EQ(results(), 1);
  database.database.execute(taken + "'61 minutes'");
  ASSERT_TRUE(sweep_store(database.pool()));
  EXPECT_EQ(results(), 0);
  EXPECT_EQ(count({.all_tenants = true}, "operations", "result_parts > 0"), 0);
}

TEST_F(PostgresStoreTest, WorkThatWaitsIsAliveAsLongAsItSaysSo) {
  const auto begun = importer.begin(admin_of("blue"), {});
  database.database.execute(
      "UPDATE device_registry.operations SET reported_at = now() - interval '1 hour'");
  ASSERT_TRUE(importer.keep_alive(admin_of("blue"), begun->operation.id));
  ASSERT_TRUE(sweep_store(database.pool()));
  EXPECT_EQ(store.find_operation(blue, begun->operation.id)->state, Operation::State::kRunning);
  EXPECT_FALSE(importer.keep_alive(admin_of("red"), begun->operation.id));
}

TEST(PostgresMigration, RefusesARoleThatRowSecurityDoesNotBind) {
  postgres::testing::TestDatabase database;
  RegistryPool superuser(database.config());
  const auto migrated = migrate_schema(*superuser.pool);
  ASSERT_FALSE(migrated);
  EXPECT_EQ(migrated.error().reason(), "unconfined_role");
}

TEST_F(PostgresStoreTest, TheSweepForgetsWhatIsOldAndBuriesWhatIsSilent) {
  fill("blue");
  const auto begun =
      importer.begin(admin_of("blue"), {.idempotency_key = "k", .request_hash = "h"});
  database.database.execute(
      "UPDATE device_registry.operations SET reported_at = now() - interval '1 hour'");
  database.database.execute(
      "UPDATE device_registry.answers SET begun_at = now() - interval '25 hours'");
  ASSERT_TRUE(sweep_store(database.pool()));
  const auto operation = store.find_operation(blue, begun->operation.id);
  EXPECT_EQ(operation->state, Operation::State::kFailed);
  EXPECT_EQ(operation->fields["reason"], "interrupted");
  EXPECT_EQ(count({.all_tenants = true}, "answers"), 0);
}

// --- An import that is killed. The child is this program again, told by its environment where to
// import.

constexpr const char* kChildUrl = "SLUICE_TEST_CHILD_URL";
constexpr const char* kChildPassword = "SLUICE_TEST_CHILD_PASSWORD";

std::string upload() {
  std::string lines;
  for (int i = 0; i < 500; ++i) {
    lines += std::format(
        "{{\"external_id\":\"e{}\",\"device_class\":\"m\",\"metadata\":{{\"n\":1}}}}\n", i);
  }
  return lines;
}

const ImportRequest kRequest{
    .idempotency_key = "upload", .request_hash = "h", .issue_tokens = true};

TEST(ImportInAChild, DISABLED_Runs) {
  RegistryPool opened([] {
    postgres::Config config = postgres::testing::TestDatabase().config();
    config.url = sluice::testing::require_env(kChildUrl);
    config.password = Secret(sluice::testing::require_env(kChildPassword));
    return config;
  }());
  PostgresStore store(*opened.pool);
  FakeVault vault;
  Importer importer(store, vault, opened.clock, opened.random, {.batch_lines = 100});
  const auto begun = importer.begin(admin_of("blue"), kRequest);
  ASSERT_TRUE(begun) << begun.error().message();
  TextLines lines(upload());
  EXPECT_TRUE(importer.run(admin_of("blue"), begun->operation.id, kRequest, lines, {}));
}

class KilledImport : public PostgresStoreTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(KilledImport, LeavesNothingAndCanBeRepeated) {
  const postgres::Config config = database.database.config_of_ordinary_role();
  const auto child =
      sluice::testing::run_program({.program = "/proc/self/exe",
                                    .arguments = {"--gtest_filter=ImportInAChild.DISABLED_Runs",
                                                  "--gtest_also_run_disabled_tests"},
                                    .environment = {{kChildUrl, config.url},
                                                    {kChildPassword, config.password.reveal()},
                                                    {"SLUICE_CRASH_POINT", GetParam()}},
                                    .address_file = false});
  ASSERT_EQ(child.status.signal, SIGKILL) << child.standard_output << child.standard_error;

  for (const char* table : {"devices", "device_attributes", "credentials", "operation_results"}) {
    EXPECT_EQ(count({.all_tenants = true}, table), 0) << table;
  }
  EXPECT_EQ(count({.all_tenants = true}, "outbox", "key <> 'blue/$class/m'"), 0);
  EXPECT_EQ(count({.all_tenants = true}, "operations", "state = 'running'"), 1);

  // Its silence is what tells that it died.
  database.database.execute(
      "UPDATE device_registry.operations SET reported_at = now() - interval '1 hour'");
  const auto begun = importer.begin(admin_of("blue"), kRequest);
  ASSERT_TRUE(begun) << begun.error().message();
  EXPECT_TRUE(begun->is_new);
  TextLines lines(upload());
  const auto operation = importer.run(admin_of("blue"), begun->operation.id, kRequest, lines, {});
  ASSERT_TRUE(operation) << operation.error().message();
  EXPECT_EQ(operation->fields["devices_written"], 500);
  EXPECT_EQ(count({.all_tenants = true}, "devices"), 500);
  EXPECT_EQ(count({.all_tenants = true}, "credentials"), 500);
}

INSTANTIATE_TEST_SUITE_P(CrashPoints, KilledImport,
                         ::testing::Values("registry_import_after_batch:1",
                                           "registry_import_after_batch:5",
                                           "registry_import_before_commit"));

}  // namespace
}  // namespace sluice::registry::testing
