#include "core/decode/avro_decoder.h"

#include "testing/hostile.h"
#include "testing/recording_sink.h"

#include <format>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

std::shared_ptr<const AvroSchema> compiled(std::string_view document) {
  auto schema = AvroSchema::compile(document);
  EXPECT_TRUE(schema.has_value()) << (schema ? "" : schema.error().message());
  return schema ? *schema : nullptr;
}

std::string read(const AvroSchema& schema, const std::string& payload,
                 AvroFraming framing = AvroFraming::kDetect, const PayloadLimits& limits = {}) {
  RecordingSink sink;
  const auto rejection = decode_avro(bytes_of(payload), schema, framing, limits, sink);
  return rejection ? std::string(name_of(rejection->reason)) : sink.text();
}

constexpr std::string_view kTelemetrySchema = R"({
  "type": "record", "name": "Telemetry", "namespace": "acme", "doc": "of a boiler",
  "fields": [
    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "metrics", "type": {"type": "map", "values": ["null", "double", "long"]}},
    {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["OFF", "ON"]}, "default": "OFF"},
    {"name": "tags", "type": {"type": "array", "items": "string"}},
    {"name": "seq", "type": ["null", "int"], "default": null}
  ]})";
/// {ts: 1, metrics: {"a": 1.5, "b": -2}, state: ON, tags: ["x"], seq: 5}
const std::string kTelemetry =
    unhex("02 04 0261 02 000000000000f83f 0262 04 03 00 02 02 0278 00 02 0a");

TEST(AvroSchema, ReadsARecordOfEverything) {
  EXPECT_EQ(read(*compiled(kTelemetrySchema), kTelemetry),
            R"({"ts":1,"metrics":{"a":d1.5,"b":-2},"state":"ON","tags":["x"],"seq":5})");
}

TEST(AvroDecoder, ReadsEveryKindOfValue) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {R"("null")", "", "null"},
      {R"("boolean")", "01", "true"},
      {R"("boolean")", "00", "false"},
      {R"("int")", "00", "0"},
      {R"("int")", "01", "-1"},
      {R"("int")", "02", "1"},
      {R"("int")", "7f", "-64"},
      {R"("int")", "8001", "64"},
      {R"("int")", "ffffffff0f", "-2147483648"},
      {R"("long")", "feffffffffffffffff01", "9223372036854775807"},
      {R"("long")", "ffffffffffffffffff01", "-9223372036854775808"},
      {R"("float")", "0000c03f", "d1.5"},
      {R"("double")", "9a9999999999f13f", "d1.1"},
      {R"("bytes")", "0401ff", "h'01ff'"},
      {R"("string")", "06666f6f", "\"foo\""},
      {R"({"type":"fixed","name":"F","size":2})", "0102", "h'0102'"},
      {R"({"type":"enum","name":"E","symbols":["A","B"]})", "02", "\"B\""},
      {R"({"type":"array","items":"long"})", "04063600", "[3,27]"},
      {R"({"type":"array","items":"long"})", "03040636 00", "[3,27]"},
      {R"({"type":"array","items":"null"})", "0600", "[null,null,null]"},
      {R"({"type":"map","values":"int"})", "020261 0200", "{\"a\":1}"},
      {R"(["null","string"])", "020261", "\"a\""},
      {R"(["null","string"])", "00", "null"},
      {R"({"type":{"type":"string"}})", "0261", "\"a\""},
      {R"({"type":"bytes","logicalType":"decimal","precision":4,"scale":2})", "0404d2", "d12.34"},
      {R"({"type":"bytes","logicalType":"decimal","precision":4,"scale":2})", "02ff", "d-0.01"},
      {R"({"type":"fixed","name":"D","size":12,"logicalType":"decimal","precision":20,"scale":1})",
       "fffffffffffffffffffffff6", "d-1"},
  };
  for (const auto& [schema, hex, text] : cases)
    EXPECT_EQ(read(*compiled(schema), unhex(hex)), text) << schema << hex;
}

TEST(AvroDecoder, RefusesWhatTheSchemaDoesNotSay) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("null")", "00"},
      {R"("boolean")", ""},
      {R"("boolean")", "02"},
      {R"("int")", ""},
      {R"("int")", "80"},
      {R"("int")", "8080808010"},
      {R"("long")", "ffffffffffffffffff02"},
      {R"("long")", "ffffffffffffffffffff01"},
      {R"("float")", "0000c0"},
      {R"("bytes")", "0401"},
      {R"("bytes")", "01"},
      {R"("string")", "02ff"},
      {R"({"type":"enum","name":"E","symbols":["A","B"]})", "04"},
      {R"({"type":"enum","name":"E","symbols":["A","B"]})", "01"},
      {R"(["null","string"])", "04"},
      {R"(["null","string"])", "01"},
      {R"({"type":"array","items":"long"})", "0406"},
      {R"({"type":"fixed","name":"F","size":2})", "01"},
      {R"({"type":"bytes","logicalType":"decimal","precision":4})", "00"},
  };
  for (const auto& [schema, hex] : cases)
    EXPECT_EQ(read(*compiled(schema), unhex(hex), AvroFraming::kPlain), "malformed_payload")
        << schema << hex;
  EXPECT_EQ(read(*compiled(R"({"type":"bytes","logicalType":"decimal","precision":40})"),
                 unhex("12 01 0000000000000000")),
            "number_out_of_range");
}

TEST(AvroDecoder, KeepsItsBoundsWhereValuesHaveNoBytes) {
  const auto nulls = compiled(R"({"type":"array","items":"null"})");
  EXPECT_EQ(read(*nulls, unhex("feffffffffffffffff01")), "payload_too_complex");
  EXPECT_EQ(read(*nulls, unhex("ffffffffffffffffff01 00")), "payload_too_complex");
  const auto forever =
      compiled(R"({"type":"record","name":"R","fields":[{"name":"r","type":"R"}]})");
  EXPECT_EQ(read(*forever, ""), "payload_too_deep");
  EXPECT_EQ(read(*forever, "", AvroFraming::kPlain, {.max_depth = SIZE_MAX}), "payload_too_deep");
  std::string doubling = R"({"type":"record","name":"R0","fields":[]})";
  for (int i = 1; i <= 25; ++i) {
    doubling = std::format(
        R"({{"type":"record","name":"R{}","fields":[{{"name":"a","type":{}}},{{"name":"b","type":"R{}"}}]}})",
        i, doubling, i - 1);
    if (i == 20) break;
  }
  EXPECT_EQ(read(*compiled(doubling), ""), "payload_too_complex");
}

TEST(AvroDecoder, FindsTheFramingOut) {
  const auto schema = compiled(kTelemetrySchema);
  const std::string text = read(*schema, kTelemetry);
  std::string header = unhex("c301");
  for (int i = 0; i < 8; ++i) header += static_cast<char>(schema->fingerprint() >> (8 * i));
  EXPECT_EQ(read(*schema, header + kTelemetry), text);
  EXPECT_EQ(read(*schema, header + kTelemetry, AvroFraming::kSingleObject), text);
  const std::string confluent = unhex("0000000102");
  EXPECT_EQ(read(*schema, confluent + kTelemetry), text);
  EXPECT_EQ(read(*schema, confluent + kTelemetry, AvroFraming::kConfluent), text);
  header[5] = static_cast<char>(header[5] ^ 1);
  EXPECT_EQ(read(*schema, header + kTelemetry, AvroFraming::kSingleObject), "malformed_payload");
  EXPECT_EQ(read(*schema, kTelemetry, AvroFraming::kConfluent), "malformed_payload");
  EXPECT_EQ(read(*schema, kTelemetry, AvroFraming::kSingleObject), "malformed_payload");
}

TEST(AvroDecoder, TakesABodyThatBeginsWithAZeroForABody) {
  const auto schema = compiled(R"({"type":"array","items":"long"})");
  EXPECT_EQ(read(*schema, unhex("00")), "[]");
  EXPECT_EQ(read(*schema, unhex("0000000007 02 0200")), "[1]");
}

TEST(AvroDecoder, StopsWhereTheSinkHasSeenEnough) {
  const auto schema = compiled(kTelemetrySchema);
  RecordingSink whole;
  decode_avro(bytes_of(kTelemetry), *schema, AvroFraming::kPlain, {}, whole);
  for (std::size_t stop = 0; stop < whole.calls(); ++stop) {
    RecordingSink sink(stop);
    EXPECT_FALSE(decode_avro(bytes_of(kTelemetry), *schema, AvroFraming::kPlain, {}, sink));
    EXPECT_EQ(sink.calls(), stop + 1);
  }
}

TEST(AvroDecoder, EndsWithAValueOrAReasonWhateverComes) {
  const auto schema = compiled(kTelemetrySchema);
  for_each_beginning(kTelemetry, [&](std::span<const std::byte> part) {
    RecordingSink sink;
    EXPECT_TRUE(decode_avro(part, *schema, AvroFraming::kDetect, {}, sink)) << part.size();
  });
  int read_whole = 0;
  for_each_damage(kTelemetry, 20'000, [&](std::span<const std::byte> damaged) {
    RecordingSink sink;
    const auto rejection = decode_avro(damaged, *schema, AvroFraming::kDetect, {}, sink);
    EXPECT_TRUE(rejection || sink.is_complete());
    read_whole += rejection ? 0 : 1;
  });
  EXPECT_GT(read_whole, 0);
}

// Fingerprints published with Avro's own tests.
TEST(AvroSchema, HasTheFingerprintOfItsCanonicalForm) {
  EXPECT_EQ(compiled(R"("null")")->fingerprint(), 7195948357588979594U);
  EXPECT_EQ(compiled(R"("int")")->fingerprint(), 8247732601305521295U);
  EXPECT_EQ(compiled(R"({"type":"int"})")->fingerprint(), 8247732601305521295U);
}

TEST(AvroSchema, HasACanonicalFormWithoutWhatDoesNotCount) {
  EXPECT_EQ(
      compiled(kTelemetrySchema)->canonical_form(),
      R"({"name":"acme.Telemetry","type":"record","fields":[{"name":"ts","type":"long"},)"
      R"({"name":"metrics","type":{"type":"map","values":["null","double","long"]}},)"
      R"({"name":"state","type":{"name":"acme.State","type":"enum","symbols":["OFF","ON"]}},)"
      R"({"name":"tags","type":{"type":"array","items":"string"}},{"name":"seq","type":["null","int"]}]})");
  EXPECT_EQ(
      compiled(R"({"name":"a.b.F","type":"fixed","size":16,"aliases":["x"]})")->canonical_form(),
      R"({"name":"a.b.F","type":"fixed","size":16})");
}

TEST(AvroSchema, ReadsATypeThatHoldsItself) {
  const auto list = compiled(
      R"({"type":"record","name":"n.L","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","L"]}]})");
  EXPECT_EQ(read(*list, unhex("02 02 04 00")), R"({"v":1,"next":{"v":2,"next":null}})");
}

TEST(AvroSchema, RefusesDocumentsThatAreNone) {
  const std::pair<const char*, const char*> cases[] = {
      {"1", ""},
      {"{}", ""},
      {R"("nothing")", ""},
      {"[]", ""},
      {R"([["null"]])", "/0"},
      {R"(["int","int"])", "/1"},
      {R"({"type":"array"})", ""},
      {R"({"type":"map","values":"nope"})", "/values"},
      {R"({"type":"record","fields":[]})", "/name"},
      {R"({"type":"record","name":"1x","fields":[]})", "/name"},
      {R"({"type":"record","name":"R"})", "/fields"},
      {R"({"type":"record","name":"R","fields":[{"name":"a"}]})", "/fields/0"},
      {R"({"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]})",
       "/fields/1"},
      {R"({"type":"record","name":"R","fields":[{"name":"a","type":{"type":"fixed","name":"R","size":1}}]})",
       "/fields/0/type/name"},
      {R"({"type":"enum","name":"E","symbols":[]})", "/symbols"},
      {R"({"type":"enum","name":"E","symbols":["a b"]})", "/symbols/0"},
      {R"({"type":"fixed","name":"F","size":-1})", "/size"},
      {R"({"type":"fixed","name":"F","size":65537})", "/size"},
      {R"({"type":"bytes","logicalType":"decimal","scale":1000})", "/scale"},
      {R"({"type":"int","name":"x","type":"int"})", "/type"},
  };
  for (const auto& [document, pointer] : cases) {
    const auto schema = AvroSchema::compile(document);
    ASSERT_FALSE(schema.has_value()) << document;
    EXPECT_EQ(schema.error().code(), ErrorCode::kInvalidArgument) << document;
    ASSERT_FALSE(schema.error().faults().empty()) << document;
    EXPECT_EQ(schema.error().faults()[0].field, pointer) << document;
  }
}

}  // namespace
}  // namespace sluice::validator
