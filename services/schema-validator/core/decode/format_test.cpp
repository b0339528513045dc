#include "core/decode/format.h"

#include "testing/hostile.h"

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

std::string choose(std::string_view type, std::string_view payload = "{}",
                   std::optional<Format> schema = std::nullopt) {
  const auto format = choose_format(type, bytes_of(payload), schema);
  return std::string(format ? name_of(*format) : name_of(format.error().reason));
}

TEST(Format, BelievesAContentTypeThatNamesOne) {
  EXPECT_EQ(choose("application/json"), "json");
  EXPECT_EQ(choose(" Application/JSON ; charset=utf-8"), "json");
  EXPECT_EQ(choose("application/vnd.acme+json"), "json");
  EXPECT_EQ(choose("application/x-msgpack"), "message_pack");
  EXPECT_EQ(choose("application/cbor"), "cbor");
  EXPECT_EQ(choose("application/senml+json"), "senml_json");
  EXPECT_EQ(choose("application/senml+cbor"), "senml_cbor");
  EXPECT_EQ(choose("avro/binary"), "avro");
  EXPECT_EQ(choose("application/x-protobuf"), "protobuf");
  EXPECT_EQ(choose("application/json", "\x81", Format::kAvro), "json");
}

TEST(Format, RefusesAForeignContentTypeByName) {
  const auto format = choose_format("image/png", {}, std::nullopt);
  ASSERT_FALSE(format);
  EXPECT_EQ(format.error().reason, RejectReason::kUnknownContentType);
  EXPECT_EQ(format.error().detail, "content type image/png is not read");
  EXPECT_LT(choose_format(std::string(10'000, 'x'), {}, std::nullopt).error().detail.size(), 200U);
}

TEST(Format, AsksTheSchemaWhereTheContentTypeSaysNothing) {
  EXPECT_EQ(choose("", "{}", Format::kAvro), "avro");
  EXPECT_EQ(choose("application/octet-stream", "{}", Format::kProtobuf), "protobuf");
}

TEST(Format, LooksAtThePayloadOtherwise) {
  EXPECT_EQ(choose("", "{\"a\":1}"), "json");
  EXPECT_EQ(choose("text/plain", " [1]"), "json");
  EXPECT_EQ(choose("", ""), "json");
  EXPECT_EQ(choose("", unhex("81 a474656d70 cb4035800000000000")), "message_pack");
  EXPECT_EQ(choose("", unhex("91 81 a161 01")), "message_pack");
  EXPECT_EQ(choose("", unhex("de 0001 a161 01")), "message_pack");
  EXPECT_EQ(choose("", unhex("a1 6474656d70 f94d60")), "cbor");
  EXPECT_EQ(choose("", unhex("81 a1 6474656d70 f94d60")), "cbor");
  EXPECT_EQ(choose("", unhex("bf 6161 01 ff")), "cbor");
  EXPECT_EQ(choose("", unhex("d9d9f7 a1 6161 01")), "cbor");
}

}  // namespace
}  // namespace sluice::validator
