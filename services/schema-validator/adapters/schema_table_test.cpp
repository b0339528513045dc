#include "adapters/schema_table.h"

#include <chrono>
#include <string>

#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/kafka/topics.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;

class SchemaTableTest : public ::testing::Test {
 protected:
  SchemaTableTest() { kafka.create_topic(kTopic, 1, kafka::Cleanup::kCompact); }

  void publish(const std::string& version, std::int64_t revision) {
    schema::v1::SchemaChange change;
    change.set_tenant("t");
    change.set_schema_id("meter");
    change.set_version(version);
    change.set_kind(schema::v1::SCHEMA_KIND_METRICS_TABLE);
    change.set_document(R"({"metrics": [{"name": "a", "type": "double"}]})");
    change.set_revision(revision);
    kafka.append(kTopic, "t/meter/" + version, change.SerializeAsString());
  }
  std::string version_in_use() const {
    const SchemaVersion* const version = holder.load()->find("t", "meter");
    return version == nullptr ? "none" : version->version_text;
  }

  static constexpr std::string_view kTopic = kafka::topics::kControlSchemas.name;
  sluice::testing::SimClock clock;
  sluice::testing::FakeKafka kafka{clock};
  Registry registry;
  std::shared_ptr<sluice::testing::CapturedLog> captured =
      std::make_shared<sluice::testing::CapturedLog>();
  Logger log = captured->logger("schema-table", clock);
  CatalogueHolder holder;
  kafka::ConsumerConfig limits{};
};

TEST_F(SchemaTableTest, WhatWasThereIsInUseBeforeItSaysSoAndChangesFollowByThemselves) {
  publish("1.0", 1);
  limits.fetch_wait = 1ms;
  SchemaTable table(kafka.table_consumer(kTopic), limits, {}, clock, log, registry, holder);
  EXPECT_FALSE(table.caught_up());
  table.start();
  ASSERT_TRUE(eventually([&] { return table.caught_up(); }));
  EXPECT_EQ(version_in_use(), "1.0");
  publish("1.1", 2);
  EXPECT_TRUE(eventually([&] { return version_in_use() == "1.1"; }));
}

TEST_F(SchemaTableTest, ARecordThatMakesNoSenseIsCountedAndNoHindrance) {
  kafka.append(kTopic, "t/meter/1.0", "\xFF\xFF");
  kafka.append(kTopic, "nonsense", "");
  publish("1.0", 1);
  limits.fetch_wait = 1ms;
  SchemaTable table(kafka.table_consumer(kTopic), limits, {}, clock, log, registry, holder);
  table.start();
  ASSERT_TRUE(eventually([&] { return table.caught_up(); }));
  EXPECT_EQ(version_in_use(), "1.0");
  EXPECT_EQ(registry
                .counter("sluice_validator_schema_records_unusable_total",
                         "Records of control.schemas that make no sense.")
                .value(),
            2U);
}

}  // namespace
}  // namespace sluice::validator
