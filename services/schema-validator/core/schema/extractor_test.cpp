#include "core/schema/extractor.h"

#include "core/payload/json_decoder.h"
#include "core/schema/compiled_schema.h"

#include <cmath>
#include <format>
#include <limits>
#include <string>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

std::shared_ptr<const CompiledSchema> compiled(std::string_view document,
                                               SchemaKind kind = SchemaKind::kJsonSchema) {
  auto made = compile(kind, document, UnitTable::built_in(), {});
  if (made) return *made;
  for (const FieldFault& fault : made.error().faults()) {
    ADD_FAILURE() << fault.field << ": " << fault.message;
  }
  return nullptr;
}
std::shared_ptr<const CompiledSchema> table(std::string_view document) {
  return compiled(document, SchemaKind::kMetricsTable);
}

/// Judges JSON and tells what came of it in one line.
class Judge {
 public:
  explicit Judge(const ExtractPolicy& policy = {}) : extractor_(policy) {}

  std::string operator()(const CompiledSchema* schema, std::string json) {
    json_ = std::move(json);
    const std::size_t size = json_.size();
    json_.resize(size + kPayloadPadding, ' ');
    const auto payload = std::as_bytes(std::span(json_.data(), size));
    extractor_.begin(schema, extracted, payload);
    auto rejection = decoder_.decode(payload, {}, extractor_);
    if (!rejection) rejection = extractor_.finish();
    if (rejection) return std::format("{} {}", name_of(rejection->reason), rejection->pointer);
    return told();
  }

  std::string told() const {
    std::string line;
    for (const Sample& sample : extracted.samples) {
      if (&sample != extracted.samples.data()) line += " | ";
      if (sample.device_time_ms) line += std::format("@{} ", *sample.device_time_ms);
      if (sample.sequence) line += std::format("#{} ", *sample.sequence);
      if (sample.buffered) line += "buffered ";
      for (std::uint32_t i = 0; i < sample.reading_count; ++i) {
        const Reading& reading = extracted.readings[sample.first_reading + i];
        line += std::format("{}{}={}{}{}", i > 0 ? " " : "", reading.metric, value(reading),
                            reading.unit, (reading.quality & kDefaulted) != 0 ? "*" : "");
      }
    }
    return line;
  }

  Extracted extracted{};

 private:
  static std::string value(const Reading& reading) {
    switch (reading.type) {
      case ValueType::kDouble:
        return std::format("{}d", reading.number);
      case ValueType::kInt64:
        return std::format("{}i", reading.integer);
      case ValueType::kBool:
        return reading.integer != 0 ? "true" : "false";
      default:
        return std::format("'{}'", reading.text);
    }
  }

  std::string json_;
  JsonDecoder decoder_;
  Extractor extractor_;
};

constexpr std::string_view kWeather = R"({"metrics": [
  {"name": "temp", "type": "double", "unit": "Cel", "min": -40, "max": 85, "required": true},
  {"name": "count", "type": "int64", "min": 0},
  {"name": "ok", "type": "bool", "default": true},
  {"name": "mode", "type": "string", "enum": ["auto", "off"], "nullable": true},
  {"name": "pump.speed", "type": "double", "unit": "m/s", "source_unit": "km/h"}],
  "additional": "reject"})";

TEST(Extractor, ReadsEveryShapeOfPayload) {
  const auto schema = table(kWeather);
  Judge judge;
  const char* const expected = "@1700000000000 #7 temp=21.5dCel count=3i ok=true*";
  EXPECT_EQ(judge(schema.get(), R"({"ts":1700000000,"seq":7,"temp":21.5,"count":3})"), expected);
  EXPECT_EQ(
      judge(schema.get(), R"({"ts":1700000000000,"metrics":{"temp":21.5,"count":3},"seq":7})"),
      expected);
  EXPECT_EQ(judge(schema.get(),
                  R"({"seq":7,"values":{"temp":21.5,"count":3},"ts":"2023-11-14T22:13:20Z"})"),
            expected);
  EXPECT_EQ(judge(schema.get(), R"([{"temp":1.5,"ok":false},{"temp":2.5,"buffered":true}])"),
            "temp=1.5dCel ok=false | buffered temp=2.5dCel ok=true*");
}

TEST(Extractor, JudgesEveryRuleOfATable) {
  const auto schema = table(kWeather);
  EXPECT_TRUE(schema->is_one_pass());
  Judge judge;
  EXPECT_EQ(judge(schema.get(), R"({"temp":-40})"), "temp=-40dCel ok=true*");
  EXPECT_EQ(judge(schema.get(), R"({"temp":-40.1})"), "schema_violation /temp");
  EXPECT_EQ(judge(schema.get(), R"({"temp":86})"), "schema_violation /temp");
  EXPECT_EQ(judge(schema.get(), R"({"temp":"warm"})"), "schema_violation /temp");
  EXPECT_EQ(judge(schema.get(), R"({"temp":null})"), "schema_violation /temp");
  EXPECT_EQ(judge(schema.get(), R"({"count":1})"), "schema_violation /temp");
  EXPECT_EQ(judge(schema.get(), R"({"metrics":{"count":1}})"), "schema_violation /temp");
  EXPECT_EQ(judge(schema.get(), R"({"temp":1,"count":-1})"), "schema_violation /count");
  EXPECT_EQ(judge(schema.get(), R"({"temp":1,"count":1.5})"), "schema_violation /count");
  EXPECT_EQ(judge(schema.get(), R"({"temp":1,"count":2.0})"), "temp=1dCel count=2i ok=true*");
  EXPECT_EQ(judge(schema.get(), R"({"temp":1,"mode":"on"})"), "schema_violation /mode");
  EXPECT_EQ(judge(schema.get(), R"({"temp":1,"mode":null})"), "temp=1dCel ok=true*");
  EXPECT_EQ(judge(schema.get(), R"({"temp":1,"ok":1})"), "schema_violation /ok");
  EXPECT_EQ(judge(schema.get(), R"({"temp":1,"tepm":1})"), "schema_violation /tepm");
  EXPECT_EQ(judge(schema.get(), R"({"temp":1,"pump":{"spede":1}})"),
            "schema_violation /pump/spede");
  EXPECT_EQ(judge(schema.get(), R"({"temp":1,"pump":3})"), "schema_violation /pump");
}

TEST(Extractor, RefusesTheWholePayloadForOneSampleAndNamesIt) {
  const auto schema = table(kWeather);
  Judge judge;
  EXPECT_EQ(judge(schema.get(), R"([{"temp":1},{"temp":2},{"temp":3},{"metrics":{"temp":99}}])"),
            "schema_violation /3/metrics/temp");
}

TEST(Extractor, RefusesMembersThatStandTwice) {
  const auto schema = table(kWeather);
  Judge judge;
  EXPECT_EQ(judge(schema.get(), R"({"temp":1,"temp":2})"), "malformed_payload /temp");
  EXPECT_EQ(judge(schema.get(), R"({"temp":1,"metrics":{"temp":2}})"),
            "malformed_payload /metrics/temp");
  EXPECT_EQ(judge(schema.get(), R"({"ts":1,"temp":1,"ts":1})"), "malformed_payload /ts");
  EXPECT_EQ(judge(nullptr, R"({"a":1,"b":2,"a":3})"), "malformed_payload /a");
  EXPECT_EQ(judge(nullptr, R"({"a":{"x":1,"x":2}})"), "malformed_payload /a/x");
  EXPECT_EQ(judge(nullptr, R"({"a":1,"\u0061":3})"), "malformed_payload /a");
  EXPECT_EQ(judge(nullptr, R"({"a.b":1,"a":{"b":2}})"), "malformed_payload /a/b");
  const auto lenient = table(R"({"metrics":[{"name":"a","type":"double"}]})");
  EXPECT_EQ(judge(lenient.get(), R"({"a":1,"x":{"y":1,"y":2}})"), "malformed_payload /x/y");
  EXPECT_EQ(judge(lenient.get(), R"({"a":1,"x":{"y":1,"z":{"y":2}}})"), "a=1d");
}

TEST(Extractor, WhatMetricsHoldsIsNamedAsThoughItStoodBesideThem) {
  Judge judge;
  EXPECT_EQ(judge(nullptr, R"({"a":1,"metrics":{"b":2,"c":{"d":3}}})"), "a=1i b=2i c.d=3i");
  EXPECT_EQ(judge(nullptr, R"({"a":[1],"b":{"c":2},"values":{"d":[3]}})"), "a.0=1i b.c=2i d.0=3i");
}

TEST(Extractor, InfersReadingsWithoutASchema) {
  Judge judge;
  EXPECT_EQ(judge(nullptr, R"({"ts":1700000000,"t":21,"h":40.5,"on":true,"who":"me","n":null})"),
            "@1700000000000 t=21i h=40.5d on=true who='me'");
  EXPECT_EQ(judge(nullptr, R"({"a":{"b":{"c":1},"d":[1,{"e":2},[3]]}})"),
            "a.b.c=1i a.d.0=1i a.d.1.e=2i a.d.2.0=3i");
  EXPECT_EQ(judge(nullptr, R"({"a":"tab\there","\u00e9":1})"), "a='tab\there' é=1i");
  EXPECT_EQ(judge(nullptr, R"({"a":{}})"), "unknown_shape ");
  EXPECT_EQ(judge(nullptr, "[]"), "unknown_shape ");
  EXPECT_EQ(judge(nullptr, "[1]"), "unknown_shape /0");
  EXPECT_EQ(judge(nullptr, "[[]]"), "unknown_shape /0");
  EXPECT_EQ(judge(nullptr, "42"), "unknown_shape ");
  EXPECT_EQ(judge(nullptr, R"({"ts":true,"a":1})"), "schema_violation /ts");
  EXPECT_EQ(judge(nullptr, R"({"seq":-1,"a":1})"), "schema_violation /seq");
  EXPECT_EQ(judge(nullptr, R"({"seq":18446744073709551615,"a":1})"), "#18446744073709551615 a=1i");
}

TEST(Extractor, KeepsNumbersBitForBit) {
  Judge judge;
  EXPECT_EQ(judge(nullptr, R"({"a":9007199254740993,"b":-9223372036854775808})"),
            "a=9007199254740993i b=-9223372036854775808i");
  EXPECT_EQ(judge(nullptr, R"({"a":18446744073709551615})"), "number_out_of_range /a");
  EXPECT_EQ(judge(nullptr, R"({"a":99999999999999999999})"), "number_out_of_range ");
  EXPECT_EQ(judge(nullptr, R"({"a":1e999})"), "number_out_of_range ");
  const auto schema = table(R"({"metrics":[{"name":"d","type":"double"},
                                           {"name":"i","type":"int64"}]})");
  EXPECT_EQ(judge(schema.get(), R"({"d":9007199254740993})"), "number_out_of_range /d");
  EXPECT_EQ(judge(schema.get(), R"({"d":9007199254740992,"i":9007199254740993})"),
            "d=9007199254740992d i=9007199254740993i");
  ASSERT_EQ(judge(schema.get(), R"({"d":-0.0})"), "d=-0d");
  EXPECT_TRUE(std::signbit(judge.extracted.readings.front().number));
}

TEST(Extractor, ConvertsIntoTheUnitOfTheMetric) {
  const auto schema = table(kWeather);
  Judge judge;
  EXPECT_EQ(judge(schema.get(), R"({"temp":{"value":212,"unit":"[degF]"}})"),
            "schema_violation /temp");  // judged in Cel: 100 is more than 85
  EXPECT_EQ(judge(schema.get(), R"({"temp":{"unit":"Cel","value":21.1}})"),
            "temp=21.1dCel ok=true*");
  EXPECT_EQ(judge(schema.get(), R"({"temp":{"unit":"°C","value":21}})"), "temp=21dCel ok=true*");
  EXPECT_EQ(judge(schema.get(), R"({"temp":{"unit":"V","value":21}})"), "unknown_unit /temp");
  EXPECT_EQ(judge(schema.get(), R"({"temp":{"unit":"V"}})"), "schema_violation /temp/value");
  EXPECT_EQ(judge(schema.get(), R"({"temp":{"value":1,"u":"V"}})"), "schema_violation /temp/u");
  EXPECT_EQ(judge(schema.get(), R"({"temp":1,"pump":{"speed":36}})"),
            "temp=1dCel pump.speed=10dm/s ok=true*");
  EXPECT_EQ(judge(schema.get(), R"({"temp":1,"pump":{"speed":{"value":3,"unit":"m/s"}}})"),
            "temp=1dCel pump.speed=3dm/s ok=true*");
  ASSERT_EQ(judge(schema.get(), R"({"temp":{"value":50,"unit":"F"}})").substr(0, 7), "temp=10");
  EXPECT_NEAR(judge.extracted.readings.front().number, 10, 1e-9);
}

TEST(Extractor, TreatsNumbersThatAreNoneByPolicy) {
  const auto schema = table(R"({"metrics":[{"name":"a","type":"double"},
                                           {"name":"b","type":"double"}]})");
  const auto tell = [&](Extractor& extractor, Extracted& into, const CompiledSchema* by) {
    extractor.begin(by, into);
    extractor.begin_object() && extractor.on_key("a") &&
        extractor.on_double(std::numeric_limits<double>::quiet_NaN()) && extractor.on_key("b") &&
        extractor.on_double(1) && extractor.end_object();
    return extractor.finish();
  };
  for (const CompiledSchema* by : {schema.get(), static_cast<const CompiledSchema*>(nullptr)}) {
    Extracted into;
    Extractor strict;
    const auto rejection = tell(strict, into, by);
    ASSERT_TRUE(rejection.has_value());
    EXPECT_EQ(rejection->reason, RejectReason::kNonFiniteNumber);
    EXPECT_EQ(rejection->pointer, "/a");
    Extractor lenient({.non_finite = NonFinite::kDrop});
    EXPECT_FALSE(tell(lenient, into, by).has_value());
    EXPECT_EQ(into.readings.size(), 1U);
  }
}

TEST(Extractor, KeepsTextsThatTheDecoderThrowsAway) {
  Extractor extractor;
  Extracted into;
  extractor.begin(nullptr, into);
  ASSERT_TRUE(extractor.begin_object());
  for (int i = 0; i < 500; ++i) {
    std::string key = "key" + std::to_string(i);
    std::string text = "text" + std::to_string(i);
    ASSERT_TRUE(extractor.on_key(key) && extractor.on_string(text));
    key.assign(key.size(), '#');
    text.assign(text.size(), '#');
  }
  ASSERT_TRUE(extractor.end_object());
  ASSERT_FALSE(extractor.finish().has_value());
  for (std::size_t i = 0; i < 500; ++i) {
    EXPECT_EQ(into.readings[i].metric, "key" + std::to_string(i));
    EXPECT_EQ(into.readings[i].text, "text" + std::to_string(i));
  }
}

TEST(Extractor, JudgesByRulesThatNeedTheWholeSample) {
  const auto schema = compiled(R"({"type":"object","required":["temp"],"properties":{
      "temp":{"type":"number","unit":"Cel"},"hum":{"type":"number","multipleOf":0.5},
      "tags":{"type":"array","items":{"type":"string"},"uniqueItems":true}},
      "if":{"required":["hum"]},"then":{"properties":{"temp":{"minimum":0}}},
      "additionalProperties":false})");
  EXPECT_FALSE(schema->is_one_pass());
  Judge judge;
  EXPECT_EQ(judge(schema.get(), R"({"ts":5,"temp":-3,"tags":["a","b"]})"), "@5000 temp=-3dCel");
  EXPECT_EQ(judge(schema.get(), R"({"metrics":{"temp":3,"hum":1.5},"seq":1})"),
            "#1 temp=3dCel hum=1.5d");
  EXPECT_EQ(judge(schema.get(), R"([{"temp":3},{"temp":-3,"hum":1}])"), "schema_violation /1/temp");
  EXPECT_EQ(judge(schema.get(), R"({"temp":3,"hum":1.2})"), "schema_violation /hum");
  EXPECT_EQ(judge(schema.get(), R"({"temp":3,"tags":["a","a"]})"), "schema_violation /tags");
  EXPECT_EQ(judge(schema.get(), R"({"temp":3,"tags":["a",1]})"), "schema_violation /tags/1");
  EXPECT_EQ(judge(schema.get(), R"({"temp":3,"other":1})"), "schema_violation /other");
  EXPECT_EQ(judge(schema.get(), R"({"hum":3})"), "schema_violation ");
}

TEST(Extractor, ReadsASchemaThatDescribesTheEnvelope) {
  const auto schema = compiled(R"({"type":"object","required":["ts","metrics"],"properties":{
      "ts":{"type":"integer"},"site":{"type":"string","minLength":2},
      "metrics":{"type":"object","required":["t"],"additionalProperties":false,
                 "properties":{"t":{"type":"number"},"e":{"type":"object","properties":{
                     "rpm":{"type":"integer"}}}}}}})");
  EXPECT_TRUE(schema->is_one_pass());
  Judge judge;
  EXPECT_EQ(judge(schema.get(), R"({"ts":5,"site":"ab","metrics":{"t":1,"e":{"rpm":7}}})"),
            "@5000 t=1d e.rpm=7i");
  EXPECT_EQ(judge(schema.get(), R"({"ts":5,"site":"a","metrics":{"t":1}})"),
            "schema_violation /site");
  EXPECT_EQ(judge(schema.get(), R"({"site":"ab","metrics":{"t":1}})"), "schema_violation /ts");
  EXPECT_EQ(judge(schema.get(), R"({"ts":"2023-11-14T22:13:20Z","metrics":{"t":1}})"),
            "schema_violation /ts");
  EXPECT_EQ(judge(schema.get(), R"({"ts":5,"metrics":{"t":1,"u":1}})"),
            "schema_violation /metrics/u");
}

TEST(Extractor, BoundsWhatJudgingTakes) {
  const auto schema = compiled(R"({"properties":{"a":{"type":"array","uniqueItems":true},
                                                 "t":{"type":"number"}}})");
  std::string json = R"({"t":1,"a":[0)";
  for (int i = 1; i < 3000; ++i) json += "," + std::to_string(i);
  Judge judge;
  EXPECT_EQ(judge(schema.get(), json + "]}"), "payload_too_complex ");
  Judge few({.max_metrics = 2, .max_samples = 2, .max_name = 3});
  EXPECT_EQ(few(nullptr, R"({"a":1,"b":2,"c":3})"), "too_many_metrics /c");
  EXPECT_EQ(few(nullptr, R"([{"a":1},{"a":1},{"a":1}])"), "payload_too_complex /2");
  EXPECT_EQ(few(nullptr, R"({"abcd":1})"), "payload_too_complex /abcd");
}

TEST(JsonDecoder, RefusesWhatIsNoJson) {
  Judge judge;
  for (const char* json : {"",
                           " ",
                           "{",
                           "}",
                           "{\"a\":1}}",
                           "{\"a\":1} x",
                           "{\"a\":1,}",
                           "[{\"a\":1},]",
                           "{\"a\" 1}",
                           "{a:1}",
                           "{\"a\":01}",
                           "{\"a\":1.}",
                           "{\"a\":.5}",
                           "{\"a\":NaN}",
                           "{\"a\":tru}",
                           "{\"a\":truex}",
                           "{\"a\":\"\x01\"}",
                           "{\"a\":\"\xFF\"}",
                           "{\"a\":\"\\ud800\"}",
                           "\xEF\xBB\xBF{\"a\":1}",
                           "{\"a\":1}{\"b\":2}",
                           "{\"a\":'b'}",
                           "{\"a\":nul}",
                           "{\"a\":[1,2}",
                           "{\"a\":1 \"b\":2}"}) {
    EXPECT_EQ(judge(nullptr, json).substr(0, 17), "malformed_payload") << json;
  }
}

TEST(JsonDecoder, BoundsDepthValuesAndTexts) {
  const auto decode = [](std::string json, const PayloadLimits& limits) {
    const std::size_t size = json.size();
    json.resize(size + kPayloadPadding);
    Extracted into;
    Extractor extractor;
    JsonDecoder decoder;
    const auto payload = std::as_bytes(std::span(json.data(), size));
    extractor.begin(nullptr, into, payload);
    const auto rejection = decoder.decode(payload, limits, extractor);
    return rejection ? std::string(name_of(rejection->reason)) : "";
  };
  EXPECT_EQ(decode(R"({"a":{"b":1}})", {.max_depth = 2}), "");
  EXPECT_EQ(decode(R"({"a":{"b":{"c":1}}})", {.max_depth = 2}), "payload_too_deep");
  EXPECT_EQ(decode(R"({"a":1,"b":2})", {.max_values = 3}), "");
  EXPECT_EQ(decode(R"({"a":1,"b":2,"c":3})", {.max_values = 3}), "payload_too_complex");
  EXPECT_EQ(decode(R"({"a":"123"})", {.max_text = 3}), "");
  EXPECT_EQ(decode(R"({"a":"1234"})", {.max_text = 3}), "payload_too_complex");
  EXPECT_EQ(decode(R"({"abcd":1})", {.max_text = 3}), "payload_too_complex");
  EXPECT_EQ(decode(R"({"a":1})", {.max_bytes = 6}), "payload_too_large");
  EXPECT_EQ(decode(R"({"a":)" + std::string(1000, '[') + std::string(1000, ']') + "}", {}),
            "payload_too_deep");
}

}  // namespace
}  // namespace sluice::validator
