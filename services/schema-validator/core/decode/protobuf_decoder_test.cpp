#include "core/decode/protobuf_decoder.h"

#include "testing/hostile.h"
#include "testing/recording_sink.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

namespace pb = google::protobuf;
using FieldProto = pb::FieldDescriptorProto;

FieldProto& add(pb::DescriptorProto& message, const char* name, int number, FieldProto::Type type,
                FieldProto::Label label = FieldProto::LABEL_OPTIONAL, const char* type_name = "") {
  FieldProto& field = *message.add_field();
  field.set_name(name);
  field.set_number(number);
  field.set_type(type);
  field.set_label(label);
  if (*type_name != '\0') field.set_type_name(type_name);
  return field;
}

/// acme.Telemetry and what it needs, as `protoc --include_imports` writes it.
pb::FileDescriptorSet telemetry_set() {
  pb::FileDescriptorSet set;
  pb::Timestamp::descriptor()->file()->CopyTo(set.add_file());
  pb::DoubleValue::descriptor()->file()->CopyTo(set.add_file());
  pb::FileDescriptorProto& file = *set.add_file();
  file.set_name("acme.proto");
  file.set_package("acme");
  file.set_syntax("proto3");
  file.add_dependency("google/protobuf/timestamp.proto");
  file.add_dependency("google/protobuf/wrappers.proto");
  pb::EnumDescriptorProto& state = *file.add_enum_type();
  state.set_name("State");
  for (int i = 0; i < 2; ++i) {
    state.add_value()->set_name(i == 0 ? "OFF" : "ON");
    state.mutable_value(i)->set_number(i);
  }
  pb::DescriptorProto& message = *file.add_message_type();
  message.set_name("Telemetry");
  add(message, "ts", 1, FieldProto::TYPE_INT64);
  add(message, "temp", 2, FieldProto::TYPE_DOUBLE);
  add(message, "count", 3, FieldProto::TYPE_UINT64);
  add(message, "delta", 4, FieldProto::TYPE_SINT32);
  add(message, "on", 5, FieldProto::TYPE_BOOL);
  add(message, "name", 6, FieldProto::TYPE_STRING);
  add(message, "state", 7, FieldProto::TYPE_ENUM, FieldProto::LABEL_OPTIONAL, ".acme.State");
  add(message, "samples", 8, FieldProto::TYPE_INT32, FieldProto::LABEL_REPEATED);
  add(message, "inner", 9, FieldProto::TYPE_MESSAGE, FieldProto::LABEL_OPTIONAL, ".acme.Telemetry");
  add(message, "metrics", 10, FieldProto::TYPE_MESSAGE, FieldProto::LABEL_REPEATED,
      ".acme.Telemetry.MetricsEntry");
  add(message, "at", 11, FieldProto::TYPE_MESSAGE, FieldProto::LABEL_OPTIONAL,
      ".google.protobuf.Timestamp");
  add(message, "limit", 12, FieldProto::TYPE_MESSAGE, FieldProto::LABEL_OPTIONAL,
      ".google.protobuf.DoubleValue");
  add(message, "seq", 13, FieldProto::TYPE_UINT64);
  add(message, "low", 14, FieldProto::TYPE_SFIXED32);
  pb::DescriptorProto& entry = *message.add_nested_type();
  entry.set_name("MetricsEntry");
  entry.mutable_options()->set_map_entry(true);
  add(entry, "key", 1, FieldProto::TYPE_STRING);
  add(entry, "value", 2, FieldProto::TYPE_FLOAT);
  return set;
}

std::shared_ptr<const ProtobufSchema> telemetry() {
  auto schema = ProtobufSchema::compile(telemetry_set().SerializeAsString(), "acme.Telemetry");
  EXPECT_TRUE(schema.has_value()) << (schema ? "" : schema.error().message());
  return schema ? *schema : nullptr;
}

std::string read(const ProtobufSchema& schema, const std::string& payload,
                 const PayloadLimits& limits = {}) {
  RecordingSink sink;
  std::vector<ProtobufValue> scratch;
  const auto rejection = decode_protobuf(bytes_of(payload), schema, limits, sink, scratch);
  return rejection ? std::string(name_of(rejection->reason)) : sink.text();
}

/// What a message without any field is told as: proto3 leaves zeros out.
constexpr std::string_view kZeros = R"("temp":d0,"count":0,"delta":0,"on":false,"state":"OFF")";

/// Fields out of order, a packed and an unpacked piece of one field, a map, and a field nobody
/// knows.
const std::string kTelemetry = unhex(
    "68 05"                         // seq: 5
    "08 80d095ffbc31"               // ts: 1700000000000
    "11 0000000000803540"           // temp: 21.5
    "18 ffffffffffffffffff01"       // count: 2^64 - 1
    "20 05"                         // delta: -3
    "28 01 32 02 c3bc 38 01"        // on, name: "ü", state: ON
    "42 03 01 ac02 40 07"           // samples: 1, 300, then 7
    "52 08 0a01 61 15 0000c03f"     // metrics: a = 1.5
    "5a 08 08 80e2cfaa06 10 00"     // at: 1700000000
    "62 09 09 000000000000f03f"     // limit: 1
    "75 ffffffff"                   // low: -1
    "fa01 02 6869 52 03 0a01 62");  // 31: unknown; metrics: b = 0

TEST(Protobuf, ReadsAMessageOfEverything) {
  EXPECT_EQ(
      read(*telemetry(), kTelemetry),
      "{\"ts\":1700000000000,\"temp\":d21.5,\"count\":u18446744073709551615,\"delta\":-3,\"on\":"
      "true,"
      "\"name\":\"ü\",\"state\":\"ON\",\"samples\":[1,300,7],\"metrics\":{\"a\":d1.5,\"b\":d0},"
      "\"at\":1700000000,\"limit\":d1,\"seq\":5,\"low\":-1}");
}

TEST(Protobuf, TellsTheZerosThatProto3LeavesOutButNoTimeAndNoNumber) {
  EXPECT_EQ(read(*telemetry(), ""), "{" + std::string(kZeros) + ",\"low\":0}");
}

TEST(Protobuf, LetsTheLastOfAScalarCountAndRefusesAMessageTwice) {
  const auto schema = telemetry();
  EXPECT_EQ(read(*schema, unhex("08 01 08 02")),
            "{\"ts\":2," + std::string(kZeros) + ",\"low\":0}");
  EXPECT_EQ(read(*schema, unhex("4a 00 4a 00")), "malformed_payload");
}

TEST(Protobuf, TellsANumberWhereAnEnumHasNoName) {
  EXPECT_NE(read(*telemetry(), unhex("38 07")).find("\"state\":7"), std::string::npos);
}

TEST(Protobuf, TellsTheFractionOfATime) {
  EXPECT_NE(
      read(*telemetry(), unhex("5a 0c 0880e2cfaa06 10 80cab5ee01")).find("\"at\":d1700000000.5"),
      std::string::npos);
}

TEST(Protobuf, RefusesWhatIsNone) {
  const auto schema = telemetry();
  for (const char* hex : {"08", "00 01", "0b", "0c", "08 ffffffffffffffffffff01", "11 00",
                          "32 05 61", "32 01 ff", "0a 00", "10 01", "42 01 80", "0e", "0f",
                          "52 02 0a05", "5a 07 10 ffffffff0f 08", "fa01 ffffffff0f"}) {
    EXPECT_EQ(read(*schema, unhex(hex)), "malformed_payload") << hex;
  }
}

TEST(Protobuf, KeepsEachBound) {
  const auto schema = telemetry();
  std::string nested;
  for (int i = 0; i < 31; ++i) {
    std::string outer = "\x4a";
    for (std::size_t size = nested.size();; size >>= 7U) {
      outer += static_cast<char>(size < 128 ? size : (size & 0x7F) | 0x80);
      if (size < 128) break;
    }
    nested = outer + nested;
  }
  EXPECT_NE(read(*schema, nested), "payload_too_deep");
  EXPECT_EQ(read(*schema, std::string("\x4a") + static_cast<char>(nested.size()) + nested),
            "payload_too_deep");
  EXPECT_EQ(read(*schema, unhex("42 04 01020304"), {.max_values = 10}), "payload_too_complex");
  EXPECT_EQ(read(*schema, unhex("08 01 08 01 08 01 08 01"), {.max_values = 3}),
            "payload_too_complex");
  EXPECT_EQ(read(*schema, unhex("32 03 616161"), {.max_text = 2}), "payload_too_complex");
}

TEST(Protobuf, StopsWhereTheSinkHasSeenEnough) {
  const auto schema = telemetry();
  std::vector<ProtobufValue> scratch;
  RecordingSink whole;
  decode_protobuf(bytes_of(kTelemetry), *schema, {}, whole, scratch);
  for (std::size_t stop = 0; stop < whole.calls(); ++stop) {
    RecordingSink sink(stop);
    EXPECT_FALSE(decode_protobuf(bytes_of(kTelemetry), *schema, {}, sink, scratch));
    EXPECT_EQ(sink.calls(), stop + 1);
  }
}

TEST(Protobuf, EndsWithAValueOrAReasonWhateverComes) {
  const auto schema = telemetry();
  std::vector<ProtobufValue> scratch;
  int read_whole = 0;
  const auto run = [&](std::span<const std::byte> bytes) {
    RecordingSink sink;
    const auto rejection = decode_protobuf(bytes, *schema, {}, sink, scratch);
    EXPECT_TRUE(rejection || sink.is_complete());
    read_whole += rejection ? 0 : 1;
  };
  for_each_beginning(kTelemetry, run);  // of a message many a beginning is one
  for_each_damage(kTelemetry, 20'000, run);
  EXPECT_GT(read_whole, 0);
}

TEST(ProtobufSchema, SaysWhatIsMissing) {
  const std::string set = telemetry_set().SerializeAsString();
  EXPECT_EQ(ProtobufSchema::compile(set, "acme.Nothing").error().message(),
            "the descriptor set has no message acme.Nothing");
  EXPECT_EQ(ProtobufSchema::compile("\xff\xff", "acme.Telemetry").error().message(),
            "the document is no FileDescriptorSet");
  pb::FileDescriptorSet alone;
  *alone.add_file() = telemetry_set().file(2);
  const auto missing = ProtobufSchema::compile(alone.SerializeAsString(), "acme.Telemetry");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(missing.error().faults().empty());
}

TEST(ProtobufSchema, RefusesGroupsByName) {
  pb::FileDescriptorSet set;
  pb::FileDescriptorProto& file = *set.add_file();
  file.set_name("old.proto");
  file.set_syntax("proto2");
  pb::DescriptorProto& message = *file.add_message_type();
  message.set_name("Old");
  message.add_nested_type()->set_name("Part");
  add(message, "part", 1, FieldProto::TYPE_GROUP, FieldProto::LABEL_OPTIONAL, ".Old.Part");
  const auto schema = ProtobufSchema::compile(set.SerializeAsString(), "Old");
  ASSERT_FALSE(schema.has_value());
  EXPECT_EQ(schema.error().faults().at(0), (FieldFault{"Old.part", "a group is not read"}));
}

TEST(ProtobufSchema, StandsDescriptorsThatWereDamaged) {
  const std::string good = telemetry_set().SerializeAsString();
  int compiled = 0;
  for_each_damage(good, 300, [&](std::span<const std::byte> damaged) {
    const auto schema = ProtobufSchema::compile(
        {reinterpret_cast<const char*>(damaged.data()), damaged.size()}, "acme.Telemetry");
    if (!schema) return;
    ++compiled;
    read(**schema, kTelemetry);
  });
  EXPECT_GT(compiled, 0);
}

}  // namespace
}  // namespace sluice::validator
