#include "adapters/attribute_index.h"

#include "adapters/query_source.h"
#include "adapters/storage.h"

#include <cstdint>
#include <format>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sluice/device/v1/device_change.pb.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/testing/captured_log.h>

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using Attributes = std::vector<std::pair<std::string, std::string>>;

class NoControl final : public kafka::ConsumerControl {
 public:
  void mark_durable(std::string_view, kafka::Partition, kafka::Offset) override {}
  void pause(std::string_view, kafka::Partition) override {}
  void resume(std::string_view, kafka::Partition) override {}
};

struct Told {
  std::string key;
  std::optional<std::string> value;
};

Told state_of(const std::string& device, std::int64_t revision, const Attributes& attributes) {
  device::v1::DeviceChange change;
  change.set_tenant("blue");
  change.set_revision(revision);
  change.mutable_device()->set_device(device);
  for (const auto& [name, value] : attributes) {
    auto& attribute = *change.mutable_device()->add_attributes();
    attribute.set_name(name);
    attribute.set_value(value);
  }
  return {.key = "blue/" + device, .value = change.SerializeAsString()};
}

Told end_of(const std::string& device) { return {.key = "blue/" + device, .value = std::nullopt}; }

struct AttributeIndexTest : ::testing::Test {
  postgres::testing::TestDatabase database;
  SystemClock clock;
  SystemRandom random;
  Registry registry;
  std::shared_ptr<sluice::testing::CapturedLog> lines =
      std::make_shared<sluice::testing::CapturedLog>();
  Logger log = lines->logger("test", clock);
  std::unique_ptr<Storage> storage =
      Storage::open(database.config(), "test", clock, random, registry, log).value();
  AttributeLimits limits;
  std::unique_ptr<AttributeIndex> index = made();

  std::unique_ptr<AttributeIndex> made() {
    return std::make_unique<AttributeIndex>(limits, storage->pool(), clock, log, registry);
  }

  void tell(const std::vector<Told>& told) {
    std::vector<kafka::RecordView> records;
    for (const Told& each : told) {
      kafka::RecordView record{.topic = "control.devices", .key = each.key};
      record.offset = kafka::Offset(told_++);
      if (each.value) record.value = *each.value;
      records.push_back(record);
    }
    NoControl control;
    const auto done = index->on_batch(records, control);
    EXPECT_TRUE(done) << done.error().message();
  }
  std::string stored() const {
    return database.query_value(
        "SELECT coalesce(string_agg(tenant || '/' || device || ' ' || revision || ' ' || "
        "  attributes::text, '; ' ORDER BY device), '') FROM tsdb.device_attributes");
  }
  /// Where a reader that gets the partition begins.
  std::int64_t start() {
    const std::vector<kafka::TopicPartition> partitions{
        {.topic = "control.devices", .partition = kafka::Partition(0)}};
    return index->on_assigned(partitions).value().at(0).offset->value();
  }

 private:
  std::int64_t told_ = 0;
};

TEST_F(AttributeIndexTest, BeginsWhereTheTablesEndWhateverTheGroupHasCommitted) {
  EXPECT_EQ(start(), 0);
  tell({state_of("a", 1, {{"site", "bonn"}}), {.key = "blue/$tenant", .value = "x"}});
  EXPECT_EQ(start(), 2);
  // As when the database is made anew, or set back to a backup.
  database.execute("TRUNCATE tsdb.device_attributes; DELETE FROM tsdb.offsets");
  EXPECT_EQ(start(), 0);
}

TEST_F(AttributeIndexTest, LeavesOutWhatIsMoreThanATenantMayHaveAndSaysSo) {
  limits = {.names = 2, .values_of_name = 2};
  index = made();
  tell({state_of("a", 1, {{"floor", "1"}, {"site", "bonn"}, {"zone", "x"}}),
        state_of("b", 2, {{"site", "ulm"}})});
  tell({state_of("c", 3, {{"site", "berlin"}})});
  EXPECT_EQ(stored(),
            R"(blue/a 1 {"site": "bonn", "floor": "1"}; blue/b 2 {"site": "ulm"}; blue/c 3 {})");
  tell({state_of("c", 4, {{"floor", "1"}, {"site", "ulm"}, {"zone", "x"}})});
  EXPECT_EQ(database.query_value("SELECT attributes::text FROM tsdb.device_attributes WHERE device "
                                 "= 'c'"),
            R"({"site": "ulm", "floor": "1"})");
  const auto refused = [&](const char* reason) {
    return registry
        .counter("sluice_tsdb_writer_attributes_refused_total",
                 "Values of attributes left out, by the limit they met.", {{"reason", reason}})
        .value();
  };
  EXPECT_EQ(refused("too_many_names"), 2);
  EXPECT_EQ(refused("too_many_values"), 1);
  EXPECT_EQ(lines->count("attributes_refused"), 1U);
}

TEST_F(AttributeIndexTest, KeepsTheLastStateOfADevice) {
  tell({state_of("a", 1, {{"site", "bonn"}}), state_of("b", 2, {{"site", "ulm"}}),
        state_of("a", 3, {{"site", "berlin"}, {"floor", "2"}})});
  EXPECT_EQ(stored(), R"(blue/a 3 {"site": "berlin", "floor": "2"}; blue/b 2 {"site": "ulm"})");
  tell({state_of("b", 4, {})});
  EXPECT_EQ(stored(), R"(blue/a 3 {"site": "berlin", "floor": "2"}; blue/b 4 {})");
  tell({end_of("b"), state_of("c", 5, {})});
  EXPECT_EQ(stored(), R"(blue/a 3 {"site": "berlin", "floor": "2"})");
}

TEST_F(AttributeIndexTest, AnOlderStateThatComesLaterChangesNothing) {
  tell({state_of("a", 5, {{"site", "berlin"}}), state_of("a", 4, {{"site", "bonn"}})});
  tell({state_of("a", 3, {{"site", "ulm"}})});
  tell({state_of("a", 2, {})});
  EXPECT_EQ(stored(), R"(blue/a 5 {"site": "berlin"})");
}

TEST_F(AttributeIndexTest, PassesOverWhatIsNoDevice) {
  tell({{.key = "blue/$tenant", .value = "x"},
        {.key = "blue/$class/meter", .value = std::nullopt},
        {.key = "", .value = "x"},
        {.key = "blue/a", .value = "no message of ours"}});
  EXPECT_EQ(stored(), "");
}

TEST_F(AttributeIndexTest, TakesNoMoreThanTheRegistryMaySayAndNothingPostgresCannotKeep) {
  Attributes many{{"zero", std::string("a\0b", 3)},
                  {"long", std::string(AttributeIndex::kMaxValueBytes + 1, 'x')},
                  {std::string(AttributeIndex::kMaxNameBytes + 1, 'n'), "x"}};
  for (int i = 0; i < 30; ++i) many.emplace_back(std::format("n{:02}", i), "x");
  tell({state_of("a", 1, many)});
  EXPECT_EQ(database.query_value("SELECT count(*) FROM tsdb.device_attributes, "
                                 "jsonb_object_keys(attributes)"),
            "16");
  EXPECT_EQ(database.query_value("SELECT attributes ->> 'zero' FROM tsdb.device_attributes"),
            "a b");
  EXPECT_EQ(database.query_value("SELECT attributes ? 'long' FROM tsdb.device_attributes"), "f");
}

TEST_F(AttributeIndexTest, QueriesFindDevicesNamesAndValuesOfAttributesOfTheirTenantAlone) {
  database.execute(
      "INSERT INTO tsdb.devices (tenant, device) VALUES ('blue', 'a'), ('blue', 'b'), ('red', "
      "'a')");
  tell({state_of("a", 1, {{"site", "berlin"}, {"floor", "2"}}),
        state_of("b", 2, {{"site", "ulm"}})});
  PostgresSampleSource source(storage->pool(), 1, nullptr, clock, registry);
  const TenantId blue("blue");
  const TenantId red("red");
  using Texts = std::vector<std::string>;
  const auto found = source
                         .devices(blue,
                                  {.attributes_are = {{.names = {"place", "site"}, .value = "ulm"}},
                                   .with_all_attributes = true},
                                  10)
                         .value();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].id, "b");
  EXPECT_EQ(found[0].all_attributes, (std::map<std::string, std::string>{{"site", "ulm"}}));
  EXPECT_EQ(source.devices(blue, {.with_all_attributes = true}, 10).value()[0].all_attributes,
            (std::map<std::string, std::string>{{"floor", "2"}, {"site", "berlin"}}));
  EXPECT_EQ(source.attribute_names(blue, 10).value(), (Texts{"floor", "site"}));
  EXPECT_EQ(source.attribute_values(blue, {"site"}, 10).value(), (Texts{"berlin", "ulm"}));
  EXPECT_EQ(source.attribute_values(blue, {"site"}, 1).value(), (Texts{"berlin"}));
  EXPECT_EQ(source.attribute_names(red, 10).value(), Texts{});
  EXPECT_EQ(source.attribute_values(red, {"site"}, 10).value(), Texts{});
}

TEST_F(AttributeIndexTest, QueriesAreToldTheAttributesTheyAskForOfTheirTenantAlone) {
  database.execute(
      "INSERT INTO tsdb.devices (tenant, device) VALUES ('blue', 'a'), ('blue', 'b'), ('red', "
      "'a')");
  tell({state_of("a", 1, {{"site", "berlin"}, {"floor", "2"}})});
  PostgresSampleSource source(storage->pool(), 1, nullptr, clock, registry);
  const auto attributes_of = [&](const char* tenant) {
    std::vector<std::vector<std::string>> all;
    const auto devices =
        source.devices(TenantId(tenant), {.attributes = {"floor", "none", "site"}}, 10).value();
    for (const StoredDevice& device : devices) all.push_back(device.attributes);
    return all;
  };
  EXPECT_EQ(attributes_of("blue"),
            (std::vector<std::vector<std::string>>{{"2", "", "berlin"}, {"", "", ""}}));
  EXPECT_EQ(attributes_of("red"), (std::vector<std::vector<std::string>>{{"", "", ""}}));
}

}  // namespace
}  // namespace sluice::tsdb
