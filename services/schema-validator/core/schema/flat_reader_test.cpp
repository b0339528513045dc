#include "core/schema/flat_reader.h"

#include "testing/flat_agreement.h"

#include <algorithm>
#include <bit>
#include <format>
#include <string>
#include <vector>

#include <sluice/base/planted_bug.h>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

using testing::FlatAgreement;

/// Whether the short way took it, after both ways were found to agree.
class FlatReaderTest : public ::testing::Test {
 protected:
  bool takes(std::string_view json, std::size_t schema = 0) {
    const auto told = agreement_.compare(schema, json);
    EXPECT_EQ(told.difference, "") << json;
    return told.was_flat;
  }
  const Extracted& extracted() const { return agreement_.flat(); }

  FlatAgreement agreement_;
};

TEST_F(FlatReaderTest, TakesTheShapesThatDevicesSend) {
  EXPECT_TRUE(
      takes(R"({"ts":1700000000123,"temp":21.53,"hum":40,"n":3712,"ok":true,"mode":"on"})"));
  EXPECT_TRUE(takes(R"( { "ts" : 1.5e9 , "temp" : -0.0 , "seq" : 7 , "buffered" : 1 } )"));
  EXPECT_TRUE(takes(R"({"ts":"2026-11-21T14:00:00Z","metrics":{"temp":1,"n":2},"seq":3})"));
  EXPECT_TRUE(takes(R"({"values":{"temp":1},"buffered":false})"));
  EXPECT_TRUE(takes(R"([{"temp":1},{"temp":2,"ts":1700000000}])"));
  EXPECT_TRUE(takes(R"({"temp":1,"engine":{"rpm":900}})"));
  EXPECT_TRUE(takes(R"({"temp":1,"note":"näh"})", 1)) << "ignored, and UTF-8";
  EXPECT_TRUE(takes(R"({"a":1,"b":2.5,"c":"x","d":true,"e":null})", 2)) << "without a schema";
}

TEST_F(FlatReaderTest, LeavesToOthersWhatItCannotVouchFor) {
  for (const char* const json : {"",
                                 " ",
                                 "{",
                                 "{}",
                                 "[]",
                                 "[1]",
                                 "{\"temp\"",
                                 "{\"temp\":",
                                 "{\"temp\":1",
                                 "{\"temp\":1,}",
                                 "{\"temp\":01}",
                                 "{\"temp\":1.}",
                                 "{\"temp\":.5}",
                                 "{\"temp\":+1}",
                                 "{\"temp\":-}",
                                 "{\"temp\":1e}",
                                 "{\"temp\":1e400}",
                                 "{\"temp\":-0}",
                                 "{\"temp\":1}x",
                                 "{\"temp\":1 2}",
                                 "{\"temp\":tru}",
                                 "{\"temp\":nul}",
                                 "{\"temp\":1,\"temp\":2}",
                                 "{\"temp\":999}",
                                 "{\"ts\":1,\"ts\":2,\"temp\":1}",
                                 "{\"temp\":1,\"what\":2}",
                                 "{\"mode\":\"else\"}",
                                 "{\"mode\":\"o\\u006e\"}",
                                 "{\"mode\":\"\x01\"}",
                                 "{\"te\\u006dp\":1}",
                                 "{\"hum\":1}",
                                 "{\"n\":1.5,\"temp\":1}",
                                 "{\"n\":12345678901234567890,\"temp\":1}",
                                 "{\"temp\":[1]}",
                                 "{\"temp\":{\"value\":70,\"unit\":\"[degF]\"}}",
                                 "{\"ts\":-1,\"temp\":1}",
                                 "{\"seq\":1.5,\"temp\":1}",
                                 "{\"buffered\":2,\"temp\":1}",
                                 "\xEF\xBB\xBF{\"temp\":1}"}) {
    EXPECT_FALSE(takes(json)) << json;
  }
  EXPECT_FALSE(takes("{\"temp\":1,\"note\":\"\xC3\x28\"}", 1)) << "no UTF-8";
  EXPECT_FALSE(takes("{\"temp\":1,\"\xC3\x28\":1}", 1)) << "no UTF-8";
  EXPECT_FALSE(takes(R"({"a":1,"a":2})", 2)) << "twice";
  EXPECT_FALSE(takes(R"({"a":1,"metrics":{"a":2}})", 2)) << "twice, though one is lifted";
}

TEST_F(FlatReaderTest, NumbersKeepTheirBits) {
  for (const char* const number :
       {"0.1", "21.53", "-273.15", "1e-7", "1E+22", "123456789012345.678", "9007199254740993.0",
        "0.30000000000000004", "2.2250738585072014e-308", "5e-324", "1.7976931348623157e308",
        "9007199254740992", "-9007199254740992", "179.99999999999997", "0.000001234567890123"}) {
    takes(std::format("{{\"temp\":1,\"free\":{}}}", number), 3);
    takes(std::format("{{\"a\":{}}}", number), 2);
  }
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    const std::uint64_t bits = i * 0x9E37'79B9'7F4A'7C15U;
    const double any = std::bit_cast<double>((bits & 0x800F'FFFF'FFFF'FFFFU) |
                                             ((0x3FFU + (bits >> 52U & 0x1FU)) << 52U));
    EXPECT_TRUE(takes(std::format("{{\"a\":{:.17g}}}", any), 2) || any == 0) << any;
    takes(std::format("{{\"a\":{},\"b\":{:.3f}}}", static_cast<std::int64_t>(bits), any), 2);
  }
}

TEST_F(FlatReaderTest, NothingBehindThePayloadCounts) {
  // What follows would complete each of these, and lies where a reader may look.
  for (const std::string_view whole :
       {R"({"temp":21.5,"hum":44.25,"mode":"on"})", R"([{"temp":21.5},{"temp":22}])",
        R"({"ts":1700000000123,"metrics":{"temp":1.25e1},"seq":12345})"}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const auto told = agreement_.compare(0, whole.substr(0, size), whole.substr(size));
      EXPECT_EQ(told.difference, "");
      EXPECT_FALSE(told.was_flat) << whole.substr(0, size);
    }
  }
}

TEST_F(FlatReaderTest, AnyOrderOfMembersIsTaken) {
  const std::vector<std::string> members = {R"("ts":1700000000)", R"("temp":1)",  R"("hum":2)",
                                            R"("n":3)",           R"("ok":true)", R"("seq":9)"};
  std::vector<std::size_t> order = {0, 1, 2, 3, 4, 5};
  do {
    std::string json;
    for (const std::size_t i : order) json += (json.empty() ? "{" : ",") + members[i];
    EXPECT_TRUE(takes(json + "}"));
    EXPECT_EQ(extracted().readings.size(), 4U);
  } while (std::ranges::next_permutation(order).found);
}

TEST_F(FlatReaderTest, BothWaysAgreeOnWhateverHappensToAPayload) {
  std::size_t taken = 0;
  std::size_t count = 0;
  for (std::uint64_t seed = 0; seed < 60'000; ++seed) {
    const auto told = agreement_.compare_at_random(seed);
    ASSERT_EQ(told.difference, "") << "seed " << seed << ": " << told.json;
    ++count;
    taken += told.was_flat ? 1U : 0U;
  }
  // The test would prove nothing if nearly all, or nearly none, went the short way.
  EXPECT_GT(taken, count / 20);
  EXPECT_LT(taken, count * 9 / 10);
}

TEST_F(FlatReaderTest, PlantedBugsAreSeenByTheAgreement) {
  {
    const ScopedPlantedBug bug("validator_flat_json_believes_what_is_behind");
    const std::string_view whole = R"({"temp":21.5,"hum":44.25})";
    EXPECT_NE(agreement_.compare(0, whole.substr(0, 20), whole.substr(20)).difference, "");
  }
  {
    const ScopedPlantedBug bug("validator_flat_json_takes_names_twice");
    EXPECT_NE(agreement_.compare(2, R"({"a":1,"a":2})").difference, "");
  }
}

}  // namespace
}  // namespace sluice::validator
