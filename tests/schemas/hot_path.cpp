// What it costs to judge a telemetry object and to take its readings out, beside what simdjson
// takes for parsing it alone. One thread, in turns, and the best of many rounds of each.

#include "core/payload/json_decoder.h"
#include "core/schema/compiled_schema.h"
#include "core/schema/extractor.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#define SIMDJSON_DEVELOPMENT_CHECKS 0  // as in json_decoder.cpp
#include <sluice/ingest/valid_message.h>

#include <simdjson.h>

namespace {

using sluice::validator::CompiledSchema;
using sluice::validator::Extracted;
using sluice::validator::Reading;

constexpr std::string_view kObject =
    R"({"ts":1700000000123,"temp":21.53,"hum":40.25,"pressure":1013.2,"battery":3712,"ok":true,"mode":"auto-night"})";
static_assert(kObject.size() == 108);
constexpr int kRound = 20'000;
constexpr int kRounds = 60;

constexpr std::string_view kTable = R"({"metrics": [
  {"name": "temp", "type": "double", "unit": "Cel", "min": -40, "max": 85, "required": true},
  {"name": "hum", "type": "double", "unit": "%", "min": 0, "max": 100, "required": true},
  {"name": "pressure", "type": "double", "unit": "hPa", "min": 300, "max": 1100},
  {"name": "battery", "type": "int64", "unit": "mV", "min": 0, "max": 5000},
  {"name": "ok", "type": "bool"},
  {"name": "mode", "type": "string", "enum": ["auto-day", "auto-night", "off"]}],
  "additional": "reject"})";

/// Nanoseconds for one of many.
double nanoseconds(const std::function<void()>& once) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kRound; ++i) once();
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - begin;
  return taken.count() / kRound;
}

double sink = 0;

void parse_all_fields(simdjson::ondemand::parser& parser, simdjson::padded_string_view json) {
  simdjson::ondemand::document document;
  if (parser.iterate(json).get(document)) std::abort();
  for (auto field : document.get_object()) {
    std::string_view key;
    if (field.unescaped_key().get(key)) std::abort();
    sink += static_cast<double>(key.size());
    simdjson::ondemand::value value = field.value();
    switch (value.type()) {
      case simdjson::ondemand::json_type::number: {
        const simdjson::ondemand::number number = value.get_number();
        sink += number.as_double();
        break;
      }
      case simdjson::ondemand::json_type::string:
        sink += static_cast<double>(value.get_string().value().size());
        break;
      default:
        sink += value.get_bool().value() ? 1 : 0;
    }
  }
}

struct Judge {
  std::shared_ptr<const CompiledSchema> schema;
  sluice::validator::JsonDecoder decoder{};
  sluice::validator::Extractor extractor{};
  Extracted extracted{};
  std::vector<sluice::ingest::ValidReading> readings{};
  std::string out{};

  void judge(std::span<const std::byte> payload) {
    extractor.begin(schema.get(), extracted, payload);
    if (decoder.decode(payload, {}, extractor) || extractor.finish()) std::abort();
  }
  void encode() {
    readings.clear();
    for (const Reading& reading : extracted.readings) {
      readings.push_back(
          {.metric = reading.metric,
           .unit = reading.unit,
           .type = static_cast<sluice::ingest::ReadingType>(static_cast<int>(reading.type) + 1),
           .quality = reading.quality,
           .number = reading.number,
           .integer = reading.integer,
           .text = reading.text});
    }
    out.clear();
    sluice::ingest::write_valid_message({.message_id = "0123456789abcdef",
                                         .tenant = "acme",
                                         .device = "device-000123",
                                         .fleet = "north",
                                         .device_type = "weather-station",
                                         .region = "eu-1",
                                         .channel = 1,
                                         .protocol = 1,
                                         .schema_id = "weather",
                                         .schema_version = "1.4",
                                         .event_time_ms = 1'700'000'000'123,
                                         .received_at_ms = 1'700'000'000'456},
                                        readings, out);
    sink += static_cast<double>(out.size());
  }
};

}  // namespace

int main() {
  std::string text(kObject);
  text.resize(kObject.size() + sluice::validator::kPayloadPadding);
  const auto payload = std::as_bytes(std::span(text.data(), kObject.size()));
  const simdjson::padded_string_view padded(text.data(), kObject.size(), text.size());
  auto schema = sluice::validator::compile(sluice::validator::SchemaKind::kMetricsTable, kTable,
                                           sluice::validator::UnitTable::built_in(), {});
  if (!schema || !(*schema)->is_one_pass()) std::abort();
  Judge judge{.schema = *schema};
  Judge inferring{.schema = nullptr};
  simdjson::dom::parser dom;
  simdjson::ondemand::parser ondemand;

  struct Line {
    const char* name;
    std::function<void()> once;
    double best = 1e18;
  };
  Line lines[] = {
      {"simdjson, DOM", [&] { sink += dom.parse(padded).is_object() ? 1 : 0; }},
      {"simdjson, on demand, every field", [&] { parse_all_fields(ondemand, padded); }},
      {"validate and extract", [&] { judge.judge(payload); }},
      {"extract without a schema", [&] { inferring.judge(payload); }},
      {"validate, extract and encode", [&] { judge.judge(payload), judge.encode(); }},
  };
  for (int round = 0; round < kRounds; ++round) {
    for (Line& line : lines) line.best = std::min(line.best, nanoseconds(line.once));
  }
  std::printf("one object of %zu bytes, 6 metrics and a time (%s)\n", kObject.size(),
              simdjson::get_active_implementation()->name().c_str());
  for (const Line& line : lines) {
    std::printf("%-36s %7.1f ns  %5.2f x DOM  %5.2f x on demand\n", line.name, line.best,
                line.best / lines[0].best, line.best / lines[1].best);
  }
  return sink == 0 ? 1 : 0;
}
