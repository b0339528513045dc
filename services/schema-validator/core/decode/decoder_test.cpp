#include "core/decode/decoder.h"

#include "core/payload/json_decoder.h"
#include "testing/hostile.h"
#include "testing/recording_sink.h"

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

constexpr std::int64_t kNow = 1'800'000'000'000;

class DecoderTest : public testing::Test {
 protected:
  std::string read(Format format, std::string payload) {
    const std::size_t size = payload.size();
    payload.append(kPayloadPadding, '\0');
    RecordingSink sink;
    const auto rejection = decoder.decode(format, bytes_of(payload).first(size), context, sink);
    return rejection ? std::string(name_of(rejection->reason)) : sink.text();
  }

  Decoder decoder{};
  DecodeContext context{.received_at_ms = kNow};
};

TEST_F(DecoderTest, ReadsOneMessageInEachFormat) {
  EXPECT_EQ(read(Format::kJson, R"({"temp":21.5})"), R"({"temp":d21.5})");
  EXPECT_EQ(read(Format::kMessagePack, unhex("81 a474656d70 cb4035800000000000")),
            R"({"temp":d21.5})");
  EXPECT_EQ(read(Format::kCbor, unhex("a1 6474656d70 f94d60")), R"({"temp":d21.5})");
  const auto avro =
      AvroSchema::compile(
          R"({"type":"record","name":"T","fields":[{"name":"temp","type":"double"}]})")
          .value();
  context.avro = avro.get();
  EXPECT_EQ(read(Format::kAvro, unhex("0000000000803540")), R"({"temp":d21.5})");
}

TEST_F(DecoderTest, ResolvesSenmlFromJson) {
  EXPECT_EQ(
      read(
          Format::kSenmlJson,
          R"([{"bn":"d:","bt":1700000000.25,"n":"t","u":"Cel","v":21.5},{"n":"h","v":40,"t":-1}])"),
      R"([{"ts":1700000000250,"values":{"d:t":{"value":d21.5,"unit":"Cel"}}},)"
      R"({"ts":1699999999250,"values":{"d:h":{"value":40}}}])");
  EXPECT_EQ(read(Format::kSenmlJson, R"({"n":"t","v":1})"), "unknown_shape");
  EXPECT_EQ(read(Format::kSenmlJson, R"([{"n":"t","v":1})"), "malformed_payload");
}

// RFC 8428 section 6, the example, whose time is 1.276020076001e+09.
TEST_F(DecoderTest, ResolvesSenmlFromCbor) {
  EXPECT_EQ(
      read(
          Format::kSenmlCbor,
          unhex(
              "87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b001062"
              "236141200500 67766f6c74616765016156 02fb405e066666666666"
              "a3006763757272656e740624 02fb3ff3333333333333"
              "a3006763757272656e740623 02fb3ff4cccccccccccd"
              "a3006763757272656e740622 02fb3ff6666666666666"
              "a3006763757272656e740621 02f93e00"
              "a3006763757272656e740620 02fb3ff999999999999a"
              "a3006763757272656e740600 02fb3ffb333333333333")),
      R"([{"ts":1276020076001,"values":{"urn:dev:ow:10e2073a0108006:voltage":{"value":d120.1,"unit":"V"},)"
      R"("urn:dev:ow:10e2073a0108006:current":{"value":d1.7,"unit":"A"}}},)"
      R"({"ts":1276020071001,"values":{"urn:dev:ow:10e2073a0108006:current":{"value":d1.2,"unit":"A"}}},)"
      R"({"ts":1276020072001,"values":{"urn:dev:ow:10e2073a0108006:current":{"value":d1.3,"unit":"A"}}},)"
      R"({"ts":1276020073001,"values":{"urn:dev:ow:10e2073a0108006:current":{"value":d1.4,"unit":"A"}}},)"
      R"({"ts":1276020074001,"values":{"urn:dev:ow:10e2073a0108006:current":{"value":d1.5,"unit":"A"}}},)"
      R"({"ts":1276020075001,"values":{"urn:dev:ow:10e2073a0108006:current":{"value":d1.6,"unit":"A"}}}])");
}

TEST_F(DecoderTest, RefusesIntegerKeysOutsideOfSenml) {
  EXPECT_EQ(read(Format::kCbor, unhex("a1 00 01")), "malformed_payload");
  EXPECT_EQ(read(Format::kSenmlCbor, unhex("81 a2 00 6161 18 63 01")), "malformed_payload");
}

TEST_F(DecoderTest, RefusesAPayloadAboveTheBoundInEveryFormat) {
  context.limits.max_bytes = 10;
  for (const Format format :
       {Format::kJson, Format::kMessagePack, Format::kCbor, Format::kSenmlJson, Format::kSenmlCbor,
        Format::kAvro, Format::kProtobuf}) {
    EXPECT_EQ(read(format, "           "), "payload_too_large") << name_of(format);
  }
}

TEST_F(DecoderTest, SaysThatAFormatNeedsItsSchema) {
  EXPECT_EQ(read(Format::kAvro, "a"), "unknown_schema");
  EXPECT_EQ(read(Format::kProtobuf, "a"), "unknown_schema");
}

}  // namespace
}  // namespace sluice::validator
