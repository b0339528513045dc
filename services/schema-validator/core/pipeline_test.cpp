#include "core/pipeline.h"

#include <memory>
#include <string>

#include <sluice/base/planted_bug.h>
#include <sluice/telemetry/v1/raw_message.pb.h>
#include <sluice/telemetry/v1/rejected_message.pb.h>
#include <sluice/telemetry/v1/valid_message.pb.h>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

constexpr std::int64_t kNow = 1'800'000'000'000;

class PipelineTest : public ::testing::Test {
 protected:
  PipelineTest() {
    schema::v1::SchemaChange change;
    change.set_tenant("t");
    change.set_schema_id("meter");
    change.set_version("1.2");
    change.set_kind(schema::v1::SCHEMA_KIND_METRICS_TABLE);
    change.set_document(R"({"metrics": [{"name": "temp", "type": "double", "unit": "Cel"},
                                        {"name": "list", "type": "int64"}]})");
    CatalogueTable table{CompileLimits{}};
    EXPECT_TRUE(table.apply("t/meter/1.2", &change).has_value());
    change.set_schema_id("lavish");
    change.set_document(R"({"metrics": [{"name": "a", "type": "int64"},
                                        {"name": "s", "type": "string", "default": ")" +
                        std::string(4'000, 'x') + R"("}]})");
    EXPECT_TRUE(table.apply("t/lavish/1.2", &change).has_value());
    catalogue = table.take_changed();
  }

  Outcome judge(const std::string& payload, const std::string& content_type = "application/json",
                const std::string& schema_id = "meter") {
    telemetry::v1::RawMessage raw;
    raw.set_message_id("0123456789abcdef");
    raw.set_tenant("t");
    raw.set_device("d");
    raw.set_payload(payload);
    raw.set_content_type(content_type);
    raw.set_schema_id(schema_id);
    raw.set_received_at_ms(kNow);
    value = raw.SerializeAsString();
    outputs.clear();
    return pipeline.judge({.partition = 3,
                           .offset = offset++,
                           .timestamp_ms = kNow,
                           .key = "t/d",
                           .value = value,
                           .now_ms = kNow},
                          state, *catalogue, outputs);
  }
  telemetry::v1::ValidMessage valid(std::size_t index = 0) const {
    telemetry::v1::ValidMessage message;
    EXPECT_TRUE(message.ParseFromString(std::string(outputs[index].bytes)));
    return message;
  }
  /// Reason and pointer of what was set aside.
  std::string rejected(const std::string& payload,
                       const std::string& content_type = "application/json") {
    if (judge(payload, content_type) != Outcome::kRejected) return "taken";
    telemetry::v1::RejectedMessage message;
    EXPECT_TRUE(message.ParseFromString(std::string(outputs[0].bytes)));
    EXPECT_EQ(message.raw().payload(), payload) << "the original bytes";
    return message.reason() + " " + message.pointer();
  }

  Registry registry;
  PipelineMetrics metrics{registry};
  Pipeline pipeline{{}, metrics};
  PartitionState state{{}, SeenFilter::kMinCapacity};
  std::shared_ptr<const Catalogue> catalogue;
  std::string value;
  Outputs outputs;
  std::int64_t offset = 0;
};

TEST_F(PipelineTest, AMessageBecomesAValidOneForEachMomentThatItTellsOf) {
  ASSERT_EQ(judge(R"([{"ts":1799999999000,"temp":21.5},{"ts":1799999999500,"temp":22}])"),
            Outcome::kValid);
  ASSERT_EQ(outputs.size(), 2U);
  EXPECT_EQ(valid(1).part(), 1U);
  EXPECT_EQ(valid(1).event_time_ms(), 1'799'999'999'500);
  EXPECT_EQ(valid(1).readings(0).metric(), "temp");
  EXPECT_EQ(valid(1).readings(0).double_value(), 22);
  EXPECT_EQ(valid(1).readings(0).unit(), "Cel");
  EXPECT_EQ(valid(1).schema_version(), "1.2");
}

TEST_F(PipelineTest, FaultsOfTheDecoderSayWhereTheyAre) {
  EXPECT_EQ(rejected(R"({"temp":1e999})"), "number_out_of_range /temp");
  EXPECT_EQ(rejected(R"({"temp":1,"x":[1,2,1e999]})"), "number_out_of_range /x/2");
  EXPECT_EQ(rejected(R"({"temp":1,"x":{"y":[[tru]]}})"), "malformed_payload /x/y/0/0");
  EXPECT_EQ(rejected(R"([{"temp":1},{"temp":01}])"), "malformed_payload /1/temp");
  EXPECT_EQ(rejected(R"({"temp":1,"metrics":{"list":nul}})"), "malformed_payload /metrics/list");
  EXPECT_EQ(rejected(R"({"temp":)"), "malformed_payload ") << "no part of it can be read";
}

TEST_F(PipelineTest, FaultsOfTheSchemaSayWhereTheyAre) {
  EXPECT_EQ(rejected(R"({"temp":"warm"})"), "schema_violation /temp");
  EXPECT_EQ(rejected(R"([{"temp":1},{"list":1.5}])"), "schema_violation /1/list");
}

TEST_F(PipelineTest, AnUnknownSchemaRejectsAndNoneInfers) {
  EXPECT_EQ(judge(R"({"temp":1})", "application/json", "else"), Outcome::kRejected);
  EXPECT_EQ(judge(R"({"temp":1})", "application/json", ""), Outcome::kValid);
  EXPECT_EQ(metrics.schemaless.value(), 1U);
}

TEST_F(PipelineTest, FewBytesDoNotBecomeManyByDefaultsOfTheSchema) {
  const auto samples = [](int count) {
    std::string json = R"([{"a":1})";
    for (int i = 1; i < count; ++i) json += R"(,{"a":1})";
    return json + "]";
  };
  EXPECT_EQ(judge(samples(3'000), "application/json", "lavish"), Outcome::kValid);
  EXPECT_EQ(outputs.size(), 3'000U);
  outputs = Outputs();
  ASSERT_EQ(judge(samples(10'000), "application/json", "lavish"), Outcome::kRejected);
  ASSERT_EQ(outputs.size(), 1U);
  telemetry::v1::RejectedMessage message;
  ASSERT_TRUE(message.ParseFromString(std::string(outputs[0].bytes)));
  EXPECT_EQ(message.reason(), "payload_too_complex");
  EXPECT_NE(message.detail().find("more than 16777216"), std::string::npos) << message.detail();
  EXPECT_LT(outputs.buffer().capacity(), 1'000'000U) << "the room was taken all the same";
  const ScopedPlantedBug bug("validator_bounds_no_defaults");
  ASSERT_EQ(judge(samples(10'000), "application/json", "lavish"), Outcome::kValid);
  EXPECT_GT(outputs.buffer().size(), 40'000'000U) << "of 80 KB";
}

TEST_F(PipelineTest, TheRoomOfALargeMessageIsGivenBack) {
  outputs.buffer().reserve(20'000'000);
  judge(R"({"temp":1})");
  EXPECT_LT(outputs.buffer().capacity(), 1'000'000U);
}

TEST_F(PipelineTest, ADryRunHoldsNoLongPointers) {
  const auto schema = compile(SchemaKind::kMetricsTable,
                              R"({"metrics": [{"name": "a", "type": "int64"}],
                                  "additional": "reject"})",
                              UnitTable::built_in(), {});
  ASSERT_TRUE(schema.has_value());
  const std::string payload = R"({")" + std::string(50'000, 'k') + R"(":1})";
  const auto rejection =
      pipeline.try_schema({.content_type = "application/json", .payload = payload}, **schema);
  ASSERT_TRUE(rejection.has_value());
  EXPECT_EQ(rejection->pointer.size(), 1'024U);
}

TEST_F(PipelineTest, AProvenCopyIsDroppedAndCounted) {
  const std::string payload = R"({"ts":1799999999000,"temp":21.5,"seq":4})";
  EXPECT_EQ(judge(payload), Outcome::kValid);
  EXPECT_EQ(judge(payload), Outcome::kReplay);
  EXPECT_EQ(metrics.replays.value(), 1U);
}

}  // namespace
}  // namespace sluice::validator
