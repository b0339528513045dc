#include "adapters/schema_store.h"

#include "testing/validator_database.h"

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <sluice/base/planted_bug.h>
#include <sluice/kafka/topics.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::validator::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const TenantId kBlue("blue");
const TenantId kRed("red");

class SchemaStoreTest : public ::testing::Test {
 protected:
  static WriteOptions by(const TenantId& tenant) {
    WriteOptions options;
    options.tenant = tenant;
    options.by = "me";
    options.traceparent = "00-1";
    options.audit = [](std::string_view target) { return "audit of " + std::string(target); };
    return options;
  }
  static http::Preconditions only_create() { return *http::Preconditions::parse({}, "*"); }
  static http::Preconditions only_revision(std::int64_t revision) {
    return *http::Preconditions::parse("\"" + std::to_string(revision) + "\"", {});
  }
  /// Takes the document as this version, whatever there is.
  static SchemaStore::Decide as(std::uint32_t major, std::uint32_t minor,
                                const std::string& document = "{}") {
    return [=](std::span<const VersionRow>) -> Result<Decision> {
      return Decision{.version = {.major = major, .minor = minor},
                      .kind = SchemaKind::kMetricsTable,
                      .document = document};
    };
  }
  bool add(const TenantId& tenant, const std::string& schema, std::uint32_t major,
           std::uint32_t minor) {
    const auto added = store.register_version(schema, by(tenant), as(major, minor));
    EXPECT_TRUE(added) << added.error().message();
    return added.has_value();
  }
  std::vector<std::string> outbox() {
    std::vector<std::string> out;
    const auto rows = postgres::transaction(
        *database.pool, {.all_tenants = true}, [](postgres::Transaction& sql) {
          return sql.query(
              "SELECT topic || ' ' || key || CASE WHEN value IS NULL THEN ' gone' "
              "ELSE '' END AS line FROM outbox ORDER BY outbox_id");
        });
    if (!rows) return {"cannot be read"};
    for (const postgres::Row& row : *rows) out.push_back(row.get<std::string>("line"));
    return out;
  }
  template <typename T>
  static std::vector<std::string> ids(const Result<std::vector<T>>& rows, std::string T::* id) {
    std::vector<std::string> out;
    if (!rows) return {rows.error().message()};
    for (const T& row : *rows) out.push_back(row.*id);
    return out;
  }

  ValidatorDatabase database;
  SchemaStore store{*database.pool};
};

TEST_F(SchemaStoreTest, AVersionIsStoredWithItsRecordAndItsAuditRecord) {
  const auto added = store.register_version("meter", by(kBlue), as(1, 0, "{\"a\":1}"));
  ASSERT_TRUE(added) << added.error().message();
  EXPECT_TRUE(added->is_new);
  const auto found = store.find_version(kBlue, "meter", {.major = 1, .minor = 0});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->document, "{\"a\":1}");
  EXPECT_EQ(found->registered_by, "me");
  EXPECT_EQ(found->revision, added->row.revision);
  EXPECT_THAT(outbox(),
              ElementsAre(std::string(kafka::topics::kControlSchemas.name) + " blue/meter/1.0",
                          "audit blue"));
}

TEST_F(SchemaStoreTest, ARefusedOrTriedRegistrationLeavesNothing) {
  const auto refused = store.register_version(
      "meter", by(kBlue), [](std::span<const VersionRow>) -> Result<Decision> {
        return fail(ErrorCode::kFailedPrecondition, "incompatible");
      });
  EXPECT_FALSE(refused);
  WriteOptions dry = by(kBlue);
  dry.is_dry_run = true;
  const auto tried = store.register_version("meter", dry, as(1, 0));
  ASSERT_TRUE(tried) << tried.error().message();
  EXPECT_EQ(tried->row.version.text(), "1.0");
  EXPECT_EQ(database.count({.all_tenants = true}, "schemas"), 0);
  EXPECT_THAT(outbox(), IsEmpty());
}

TEST_F(SchemaStoreTest, VersionsComeInTheirOrderAndSchemasPageByPage) {
  for (const std::uint32_t minor : {0U, 1U, 10U, 2U}) add(kBlue, "b", 1, minor);
  add(kBlue, "b", 10, 0);
  add(kBlue, "b", 2, 0);
  for (const char* const schema : {"c", "a", "B"}) add(kBlue, schema, 1, 0);
  std::vector<std::string> versions;
  for (const VersionRow& row : *store.list_versions(kBlue, "b")) {
    versions.push_back(row.version.text());
  }
  EXPECT_THAT(versions, ElementsAre("1.0", "1.1", "1.2", "1.10", "2.0", "10.0"));
  const auto first = store.list_schemas(kBlue, "", 2);
  EXPECT_THAT(ids(first, &SchemaRow::schema_id), ElementsAre("B", "a")) << "by bytes";
  const auto rest = store.list_schemas(kBlue, "a", 10);
  ASSERT_THAT(ids(rest, &SchemaRow::schema_id), ElementsAre("b", "c"));
  EXPECT_EQ(rest->front().latest.text(), "10.0");
  EXPECT_EQ(rest->front().versions, 6);
}

TEST_F(SchemaStoreTest, OneTenantSeesNothingOfAnother) {
  add(kBlue, "meter", 1, 0);
  EXPECT_THAT(*store.list_schemas(kRed, "", 10), IsEmpty());
  EXPECT_EQ(store.list_versions(kRed, "meter").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store.find_version(kRed, "meter", {.major = 1, .minor = 0}).error().code(),
            ErrorCode::kNotFound);
  EXPECT_EQ(store.remove_version("meter", {.major = 1, .minor = 0}, by(kRed)).error().code(),
            ErrorCode::kNotFound);
  add(kRed, "meter", 1, 0);
  // Statements that forget their tenant.
  for (const char* const table : {"schemas", "schema_versions"}) {
    EXPECT_EQ(database.count({.tenant = kRed}, table), 1) << table;
    EXPECT_EQ(database.count({}, table), 0) << table;
  }
}

TEST_F(SchemaStoreTest, TheLastVersionTakesItsSchemaAlong) {
  add(kBlue, "meter", 1, 0);
  add(kBlue, "meter", 1, 1);
  ASSERT_TRUE(store.remove_version("meter", {.major = 1, .minor = 0}, by(kBlue)));
  EXPECT_EQ(store.list_schemas(kBlue, "", 10)->size(), 1U);
  ASSERT_TRUE(store.remove_version("meter", {.major = 1, .minor = 1}, by(kBlue)));
  EXPECT_THAT(*store.list_schemas(kBlue, "", 10), IsEmpty());
  EXPECT_EQ(outbox()[4], std::string(kafka::topics::kControlSchemas.name) + " blue/meter/1.0 gone");
}

TEST_F(SchemaStoreTest, RegistrationsOfOneSchemaWaitForEachOther) {
  std::optional<std::size_t> seen_by_second;
  std::jthread second;
  const auto first = store.register_version(
      "meter", by(kBlue), [&](std::span<const VersionRow> existing) -> Result<Decision> {
        EXPECT_TRUE(existing.empty());
        second = std::jthread([&] {
          const auto added =
              store.register_version("meter", by(kBlue), [&](std::span<const VersionRow> later) {
                seen_by_second = later.size();
                return as(1, 1)(later);
              });
          EXPECT_TRUE(added) << added.error().message();
        });
        EXPECT_TRUE(database.has_waiting_statement());
        return as(1, 0)(existing);
      });
  second.join();
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_EQ(seen_by_second, 1U);
  EXPECT_EQ(store.list_versions(kBlue, "meter")->size(), 2U);
}

/// Whether a version that is registered while the only other one is removed is there afterwards.
class RemovalDuringRegistration : public SchemaStoreTest {
 protected:
  std::size_t versions_left() {
    add(kBlue, "meter", 1, 0);
    std::jthread removal;
    const auto second = store.register_version(
        "meter", by(kBlue), [&](std::span<const VersionRow> existing) -> Result<Decision> {
          removal = std::jthread([&] {
            EXPECT_TRUE(store.remove_version("meter", {.major = 1, .minor = 0}, by(kBlue)));
          });
          EXPECT_TRUE(database.has_waiting_statement());
          return as(1, 1)(existing);
        });
    removal.join();
    EXPECT_TRUE(second);
    const auto left = store.list_versions(kBlue, "meter");
    return left ? left->size() : 0;
  }
};

TEST_F(RemovalDuringRegistration, LeavesTheNewVersion) { EXPECT_EQ(versions_left(), 1U); }

TEST_F(RemovalDuringRegistration, PlantedWithoutItsLockTakesTheNewVersionAway) {
  const ScopedPlantedBug bug("validator_removes_versions_unlocked");
  EXPECT_EQ(versions_left(), 0U);
}

TEST_F(SchemaStoreTest, UnitsAreReplacedByRevisionListedByNameAndRemoved) {
  for (const char* const name : {"b", "c", "a"}) {
    ASSERT_TRUE(store.put_unit({.name = name, .base = "Cel", .factor = 0.1, .aliases = {"x", "y"}},
                               by(kBlue)));
  }
  EXPECT_THAT(ids(store.list_units(kBlue, "", 2), &UnitRow::name), ElementsAre("a", "b"));
  EXPECT_THAT(ids(store.list_units(kBlue, "b", 2), &UnitRow::name), ElementsAre("c"));
  const auto before = store.find_unit(kBlue, "a");
  ASSERT_TRUE(before);
  EXPECT_EQ(before->factor, 0.1);
  EXPECT_THAT(before->aliases, ElementsAre("x", "y"));
  WriteOptions options = by(kBlue);
  options.preconditions = only_revision(before->revision);
  const auto after = store.put_unit({.name = "a", .base = "Cel", .factor = 0.5}, options);
  ASSERT_TRUE(after) << after.error().message();
  EXPECT_GT(after->revision, before->revision);
  EXPECT_EQ(store.put_unit({.name = "a", .base = "K"}, options).error().reason(),
            "precondition_failed");
  EXPECT_EQ(store.remove_unit("a", options).error().reason(), "precondition_failed");
  EXPECT_EQ(store.find_unit(kRed, "a").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store.remove_unit("a", by(kRed)).error().code(), ErrorCode::kNotFound);
  ASSERT_TRUE(store.remove_unit("a", by(kBlue)));
  EXPECT_EQ(store.find_unit(kBlue, "a").error().code(), ErrorCode::kNotFound);
}

TEST_F(SchemaStoreTest, PoliciesAreListedBySchemaAndMetricAndPageAcrossSchemas) {
  for (const char* const schema : {"m", "k"}) {
    for (const char* const metric : {"y", "x"}) {
      ASSERT_TRUE(store.put_policy(
          {.schema_id = schema, .metric = metric, .settings = "{\"max\": 1}"}, by(kBlue)));
    }
  }
  const auto of_m = store.list_policies(kBlue, "m", "", "", 10);
  EXPECT_THAT(ids(of_m, &PolicyRow::metric), ElementsAre("x", "y"));
  const auto page = store.list_policies(kBlue, "", "k", "x", 2);
  EXPECT_THAT(ids(page, &PolicyRow::schema_id), ElementsAre("k", "m"));
  EXPECT_THAT(ids(page, &PolicyRow::metric), ElementsAre("y", "x"));
  EXPECT_THAT(*store.list_policies(kRed, "", "", "", 10), IsEmpty());
  ASSERT_TRUE(store.remove_policy("m", "x", by(kBlue)));
  EXPECT_EQ(store.find_policy(kBlue, "m", "x").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(database.count({.tenant = kRed}, "outlier_policies"), 0);
}

/// Somebody makes the thing between our look and our write.
TEST_F(SchemaStoreTest, WhoWantsToBeFirstOverwritesNobodyWhoWas) {
  WriteOptions first = by(kBlue);
  first.preconditions = only_create();
  const auto race = [&](const std::string& insert, const std::function<ErrorCode()>& put) {
    std::jthread other;
    std::optional<ErrorCode> code;
    const auto made = postgres::run_transaction(
        *database.pool, {.tenant = kBlue}, [&](postgres::Transaction& sql) -> Result<> {
          SLUICE_TRY(sql.execute(postgres::Sql::from_trusted_text(insert)));
          other = std::jthread([&] { code = put(); });
          EXPECT_TRUE(database.has_waiting_statement());
          return {};
        });
    other.join();
    EXPECT_TRUE(made);
    EXPECT_EQ(code, ErrorCode::kAborted);
  };
  race("INSERT INTO units (tenant_id, name, base, factor, shift) VALUES ('blue', 'u', 'K', 7, 0)",
       [&] { return store.put_unit({.name = "u", .base = "Cel"}, first).error().code(); });
  EXPECT_EQ(store.find_unit(kBlue, "u")->factor, 7);
  race(
      "INSERT INTO outlier_policies (tenant_id, schema_id, metric, settings) "
      "VALUES ('blue', 's', 'm', '{\"max\": 7}')",
      [&] {
        return store.put_policy({.schema_id = "s", .metric = "m", .settings = "{}"}, first)
            .error()
            .code();
      });
  EXPECT_EQ(store.find_policy(kBlue, "s", "m")->settings, "{\"max\": 7}");
}

}  // namespace
}  // namespace sluice::validator::testing
