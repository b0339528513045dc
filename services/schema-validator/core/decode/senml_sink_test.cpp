#include "core/decode/senml_sink.h"

#include "core/decode/cbor.h"
#include "testing/hostile.h"
#include "testing/recording_sink.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::validator {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kNow = 1'800'000'000'000;

/// Tells a document as a JSON decoder would.
bool tell(const Json& value, PayloadSink& sink) {
  if (value.is_null()) return sink.on_null();
  if (value.is_boolean()) return sink.on_bool(value.get<bool>());
  if (value.is_number_float()) return sink.on_double(value.get<double>());
  if (value.is_number()) return sink.on_int64(value.get<std::int64_t>());
  if (value.is_string()) return sink.on_string(value.get<std::string>());
  if (value.is_array()) {
    if (!sink.begin_array()) return false;
    for (const Json& item : value) {
      if (!tell(item, sink)) return false;
    }
    return sink.end_array();
  }
  if (!sink.begin_object()) return false;
  for (const auto& [key, item] : value.items()) {
    if (!sink.on_key(key) || !tell(item, sink)) return false;
  }
  return sink.end_object();
}

std::optional<Rejection> resolve(std::string_view json, RecordingSink& out,
                                 SenmlNames names = SenmlNames::kFull) {
  SenmlSink senml;
  senml.begin(kNow, names, {});
  tell(Json::parse(json), senml);
  return senml.finish(out);
}

std::string resolved(std::string_view json, SenmlNames names = SenmlNames::kFull) {
  RecordingSink out;
  const auto rejection = resolve(json, out, names);
  return rejection ? std::string(name_of(rejection->reason)) + " " + rejection->pointer
                   : out.text();
}

// RFC 8428 section 5.1.1.
TEST(Senml, ReadsASingleDatapoint) {
  EXPECT_EQ(resolved(R"([{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}])"),
            R"([{"values":{"urn:dev:ow:10e2073a01080063":{"value":d23.1,"unit":"Cel"}}}])");
}

// RFC 8428 section 5.1.2: two metrics at the time of the pack.
TEST(Senml, JoinsBaseNameAndNameAndBringsOneTimeTogether) {
  EXPECT_EQ(resolved(R"([{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},
                         {"n":"current","u":"A","v":1.2}])"),
            R"([{"values":{"urn:dev:ow:10e2073a01080063:voltage":{"value":d120.1,"unit":"V"},)"
            R"("urn:dev:ow:10e2073a01080063:current":{"value":d1.2,"unit":"A"}}}])");
}

// RFC 8428 section 5.1.2, second example, shortened: base time, base unit, relative times.
TEST(Senml, ResolvesBaseTimeUnitAndVersion) {
  EXPECT_EQ(
      resolved(
          R"([{"bn":"d:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
                         {"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3},
                         {"n":"power","t":-4,"v":7}])"),
      R"([{"ts":1276020076001,"values":{"d:voltage":{"value":d120.1,"unit":"V"}}},)"
      R"({"ts":1276020071001,"values":{"d:current":{"value":d1.2,"unit":"A"}}},)"
      R"({"ts":1276020072001,"values":{"d:current":{"value":d1.3,"unit":"A"},"d:power":{"value":7,"unit":"A"}}}])");
}

TEST(Senml, CountsSmallTimesFromNow) {
  EXPECT_EQ(resolved(R"([{"n":"a","v":1,"t":-10},{"n":"a","v":2},{"n":"a","v":3,"t":268435456}])"),
            R"([{"ts":1799999990000,"values":{"a":{"value":1}}},{"values":{"a":{"value":2}}},)"
            R"({"ts":268435456000,"values":{"a":{"value":3}}}])");
}

TEST(Senml, AddsBaseValueAndBaseSumAndKeepsIntegers) {
  EXPECT_EQ(
      resolved(R"([{"bn":"m","bv":100,"bs":1000,"v":5,"s":7},{"n":"x","v":0.5},{"n":"y"}])"),
      R"([{"values":{"m":{"value":105},"m.sum":{"value":1007},"mx":{"value":d100.5},"mx.sum":{"value":1000},)"
      R"("my":{"value":100},"my.sum":{"value":1000}}}])");
}

TEST(Senml, KnowsEveryKindOfValue) {
  EXPECT_EQ(
      resolved(
          R"([{"n":"a","vs":"open"},{"n":"b","vb":true},{"n":"c","vd":"AQID"},{"n":"d","s":5}])"),
      R"([{"values":{"a":{"value":"open"},"b":{"value":true},"c":{"value":h'010203'},"d.sum":{"value":5}}}])");
}

TEST(Senml, LetsARecordSetTheBasesAlone) {
  EXPECT_EQ(
      resolved(R"([{"bn":"dev:","bt":1700000000},{"n":"t","v":1},{"n":"t","v":2,"t":1.5}])"),
      R"([{"ts":1700000000000,"values":{"dev:t":{"value":1}}},{"ts":1700000001500,"values":{"dev:t":{"value":2}}}])");
}

TEST(Senml, LeavesTheBaseNameOutWhereAsked) {
  EXPECT_EQ(
      resolved(R"([{"bn":"urn:dev:mac:0024befffe804ff1/","n":"temp","v":1}])", SenmlNames::kLocal),
      R"([{"values":{"temp":{"value":1}}}])");
}

TEST(Senml, IgnoresFieldsThatNobodyKnows) {
  EXPECT_EQ(
      resolved(R"([{"n":"a","v":1,"ut":60,"x":{"deep":[1,{"n":null}]},"y":[1],"z":null,"w":"t"}])"),
      R"([{"values":{"a":{"value":1}}}])");
}

TEST(Senml, RefusesAndSaysWhere) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"n":"a","v":1})", "unknown_shape "},
      {R"([1])", "unknown_shape "},
      {R"([{"n":"a","v":[1]}])", "unknown_shape /0/v"},
      {R"([{"n":"a","v":1},{"n":"b"}])", "malformed_payload /1"},
      {R"([{"v":1}])", "malformed_payload /0"},
      {R"([{"n":"-a","v":1}])", "malformed_payload /0"},
      {R"([{"n":"a b","v":1}])", "malformed_payload /0"},
      {R"([{"n":"a","v":"1"}])", "malformed_payload /0/v"},
      {R"([{"n":"a","vs":1}])", "malformed_payload /0/vs"},
      {R"([{"n":"a","vb":1}])", "malformed_payload /0/vb"},
      {R"([{"n":"a","v":null}])", "malformed_payload /0/v"},
      {R"([{"n":"a","v":1,"vs":"x"}])", "malformed_payload /0/vs"},
      {R"([{"n":"a","v":1,"future_":1}])", "malformed_payload /0"},
      {R"([{"bver":11,"n":"a","v":1}])", "malformed_payload /0/bver"},
      {R"([{"n":"a","v":1,"t":1e12}])", "number_out_of_range /0"},
      {R"([{"n":"a","v":1.7e308,"bv":1.7e308}])", "non_finite_number /0"},
      {R"([{"n":"a","vd":"!!"}])", "malformed_payload "},
  };
  for (const auto& [json, refusal] : cases) EXPECT_EQ(resolved(json), refusal) << json;
}

TEST(Senml, RefusesAFieldThatStandsTwice) {
  SenmlSink senml;
  senml.begin(kNow, SenmlNames::kFull, {});
  EXPECT_TRUE(senml.begin_array() && senml.begin_object() && senml.on_key("v") &&
              senml.on_int64(1));
  EXPECT_FALSE(senml.on_key("v"));
}

TEST(Senml, BoundsWhatLongBaseNamesGrowTo) {
  SenmlSink senml;
  senml.begin(kNow, SenmlNames::kFull, {.max_bytes = 100'000});
  Json pack = Json::array({{{"bn", std::string(10'000, 'a')}, {"n", "x0"}, {"v", 1}}});
  for (int i = 0; i < 20; ++i) pack.push_back({{"n", "x"}, {"v", 1}});
  EXPECT_FALSE(tell(pack, senml));
  RecordingSink out;
  EXPECT_EQ(senml.finish(out).value().reason, RejectReason::kPayloadTooLarge);
}

TEST(Senml, StopsWhereTheNextSinkHasSeenEnough) {
  constexpr std::string_view kPack =
      R"([{"bn":"m","bs":1,"bt":1700000000,"u":"V","v":5},{"n":"x","vs":"a","t":1}])";
  RecordingSink whole;
  resolve(kPack, whole);
  for (std::size_t stop = 0; stop < whole.calls(); ++stop) {
    RecordingSink out(stop);
    EXPECT_FALSE(resolve(kPack, out));
    EXPECT_EQ(out.calls(), stop + 1);
  }
}

TEST(Senml, IsReusable) {
  SenmlSink senml;
  for (int i = 0; i < 3; ++i) {
    RecordingSink out;
    senml.begin(kNow, SenmlNames::kFull, {});
    tell(Json::parse(i == 1 ? R"([{"n":"a","v":"faulty"}])" : R"([{"bn":"b","bv":1,"v":1}])"),
         senml);
    const auto rejection = senml.finish(out);
    EXPECT_EQ(rejection.has_value(), i == 1);
    if (i != 1) {
      EXPECT_EQ(out.text(), R"([{"values":{"b":{"value":2}}}])");
    }
  }
}

}  // namespace
}  // namespace sluice::validator
