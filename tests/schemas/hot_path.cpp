// What it costs to judge a telemetry object and to take its readings out, beside what simdjson
// takes for parsing it alone, and what the whole way of a record costs, from its envelope to the
// bytes that are sent. One thread, CPU time, in turns, and the best of many rounds of each.
//
// "Parsing alone" touches every value: on demand each key is unescaped and each value converted
// (the library's fastest way to all of them); DOM does so by itself, and its tree is walked once.
// All read the same 256 messages in turn, so that no branch predictor knows the next one's digits.

#include "core/payload/json_decoder.h"
#include "core/pipeline.h"
#include "core/schema/compiled_schema.h"
#include "core/schema/extractor.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <format>
#include <functional>
#include <string>
#include <vector>

#include <sluice/base/clock.h>

#define SIMDJSON_DEVELOPMENT_CHECKS 0  // as in json_decoder.cpp
#include <sluice/ingest/envelope.h>

#include <simdjson.h>

namespace {

using namespace sluice::validator;

constexpr std::size_t kMessages = 256;
constexpr int kRound = 20'480;
constexpr int kRounds = 40;
constexpr std::int64_t kNow = 1'700'000'000'000;

constexpr std::string_view kTable = R"({"metrics": [
  {"name": "temp", "type": "double", "unit": "Cel", "min": -40, "max": 85, "required": true},
  {"name": "hum", "type": "double", "unit": "%", "min": 0, "max": 100, "required": true},
  {"name": "pressure", "type": "double", "unit": "hPa", "min": 300, "max": 1100},
  {"name": "battery", "type": "int64", "unit": "mV", "min": 0, "max": 5000},
  {"name": "ok", "type": "bool"},
  {"name": "mode", "type": "string", "enum": ["auto-day", "auto-night", "off"]}],
  "additional": "reject"})";

/// The same values in other spellings.
struct Shape {
  const char* name;
  std::string (*write)(std::size_t index);
};
double temperature(std::size_t i) { return 20.0 + static_cast<double>(i * 37 % 1000) / 100; }
double humidity(std::size_t i) { return 40.0 + static_cast<double>(i * 59 % 5000) / 100; }

std::string flat(std::size_t i) {
  return std::format(
      R"({{"ts":{},"temp":{:.2f},"hum":{:.2f},"pressure":{:.1f},"battery":{},"ok":true,"mode":"auto-night"}})",
      kNow + static_cast<std::int64_t>(i) * 997, temperature(i), humidity(i),
      1013.2 + static_cast<double>(i % 90) / 10, 3600 + i);
}
std::string with_blanks(std::size_t i) {
  return std::format(
      R"({{"ts": {}, "temp": {:.2f}, "hum": {:.2f}, "pressure": {:.1f}, "battery": {}, "ok": true, "mode": "auto-night"}})",
      kNow + static_cast<std::int64_t>(i) * 997, temperature(i), humidity(i),
      1013.2 + static_cast<double>(i % 90) / 10, 3600 + i);
}
std::string envelope(std::size_t i) {
  return std::format(
      R"({{"ts":{},"metrics":{{"temp":{:.2f},"hum":{:.2f},"pressure":{:.1f},"battery":{},"ok":true}},"seq":{}}})",
      kNow + static_cast<std::int64_t>(i) * 997, temperature(i), humidity(i),
      1013.2 + static_cast<double>(i % 90) / 10, 3600 + i, 1000 + i);
}
/// Doubles as a program prints them that does not round: seventeen digits.
std::string all_digits(std::size_t i) {
  return std::format(
      R"({{"ts":{},"temp":{:.15g}1,"hum":{:.15g}7,"pressure":{:.17g},"battery":{},"ok":true,"mode":"off"}})",
      kNow + static_cast<std::int64_t>(i) * 997, temperature(i) + 0.123456789012345,
      humidity(i) + 0.000001234567891, 1013.2 + static_cast<double>(i % 90) / 10, 3600 + i);
}

/// Payloads with what a reader may look at behind each.
class Payloads {
 public:
  explicit Payloads(std::string (*write)(std::size_t)) {
    for (std::size_t i = 0; i < kMessages; ++i) {
      texts_.push_back(write(i));
      bytes_ += texts_.back().size();
      texts_.back().reserve(texts_.back().size() + kPayloadPadding);
    }
  }
  std::string_view next() { return texts_[next_++ % kMessages]; }
  std::size_t mean_size() const { return bytes_ / kMessages; }

 private:
  std::vector<std::string> texts_;
  std::size_t bytes_ = 0;
  std::size_t next_ = 0;
};

double cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double sink = 0;

void parse_on_demand(simdjson::ondemand::parser& parser, std::string_view json) {
  const simdjson::padded_string_view padded(json, json.size() + kPayloadPadding);
  simdjson::ondemand::document document;
  if (parser.iterate(padded).get(document)) std::abort();
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

void parse_dom(simdjson::dom::parser& parser, std::string_view json) {
  const simdjson::padded_string_view padded(json, json.size() + kPayloadPadding);
  for (const auto& field : simdjson::dom::object(parser.parse(padded))) {
    sink += static_cast<double>(field.key.size());
    if (field.value.is_number()) {
      double number = 0;
      if (!field.value.get(number)) sink += number;
    } else if (field.value.is_string()) {
      sink += static_cast<double>(field.value.get_string_length().value());
    } else {
      sink += bool(field.value) ? 1 : 0;
    }
  }
}

struct Judge {
  std::shared_ptr<const CompiledSchema> schema;
  bool is_general = false;
  JsonDecoder decoder{};
  Extractor extractor{};
  Extracted extracted{};

  void operator()(std::string_view json) {
    const auto payload = std::as_bytes(std::span(json));
    extractor.begin(schema.get(), extracted, payload);
    const bool is_bad = is_general ? decoder.decode_generally(payload, {}, extractor).has_value()
                                   : decoder.decode(payload, {}, extractor).has_value();
    if (is_bad || extractor.finish()) std::abort();
    sink += static_cast<double>(extracted.readings.size());
  }
};

/// Records of a hundred devices as the fronts write them, judged one after the other.
class Hop {
 public:
  explicit Hop(bool has_sequence) : has_sequence_(has_sequence) {
    sluice::schema::v1::SchemaChange change;
    change.set_tenant("acme");
    change.set_schema_id("weather");
    change.set_version("1.4");
    change.set_kind(sluice::schema::v1::SCHEMA_KIND_METRICS_TABLE);
    change.set_document(std::string(kTable));
    CatalogueTable table({});
    if (!table.apply("acme/weather/1.4", &change)) std::abort();
    catalogue_ = table.take_changed();
    for (std::size_t i = 0; i < kDevices; ++i) {
      const std::string device = std::format("device-{:06}", i);
      keys_.push_back("acme/" + device);
      prefixes_.emplace_back(
          sluice::ingest::EnvelopeSource{.tenant = "acme",
                                         .device = device,
                                         .fleet = "north",
                                         .device_type = "weather-station",
                                         .region = "eu-1",
                                         .schema_id = "weather",
                                         .topic = "tenant/acme/device/" + device + "/telemetry"});
    }
  }

  void prepare(std::int64_t round) {
    records_.clear();
    for (std::size_t i = 0; i < kRound; ++i) {
      const std::int64_t time = kNow + (round * kRound + static_cast<std::int64_t>(i)) * 10;
      const std::string payload = std::format(
          R"({{"ts":{},"temp":{:.2f},"hum":{:.2f},"pressure":{:.1f},"battery":{},"ok":true,"mode":"auto-night"}})",
          time, temperature(i), humidity(i), 1013.2 + static_cast<double>(i % 90) / 10,
          3600 + i % 256);
      sluice::ingest::EnvelopeFields fields{
          .qos = 1, .received_at_ms = time + 40, .payload = std::as_bytes(std::span(payload))};
      fields.message_id[15] = 1;
      if (has_sequence_) {
        fields.declared.sequence = (static_cast<std::uint64_t>(round * kRound) + i) / kDevices;
      }
      records_.emplace_back();
      sluice::ingest::append_envelope(prefixes_[i % kDevices], fields, records_.back());
    }
  }

  void operator()() {
    for (std::size_t i = 0; i < records_.size(); ++i) {
      outputs_.clear();
      const Outcome outcome = pipeline_.judge({.partition = 1,
                                               .offset = offset_++,
                                               .timestamp_ms = kNow,
                                               .key = keys_[i % kDevices],
                                               .value = records_[i],
                                               .now_ms = kNow},
                                              state_, *catalogue_, outputs_);
      if (outcome != Outcome::kValid) std::abort();
      sink += static_cast<double>(outputs_[0].bytes.size());
    }
  }

 private:
  static constexpr std::size_t kDevices = 100;

  const bool has_sequence_;
  std::shared_ptr<const Catalogue> catalogue_;
  std::vector<std::string> keys_;
  std::vector<sluice::ingest::EnvelopePrefix> prefixes_;
  std::vector<std::string> records_;
  sluice::Registry registry_;
  PipelineMetrics metrics_{registry_};
  Pipeline pipeline_{{}, metrics_};
  PartitionState state_{{}, 1'000'000};
  Outputs outputs_;
  std::int64_t offset_ = 0;
};

struct Line {
  std::string name;
  std::function<void(std::string_view)> once;
  double best = 1e18;
};

void compare(const Shape& shape, const std::shared_ptr<const CompiledSchema>& schema) {
  Payloads payloads(shape.write);
  simdjson::dom::parser dom;
  simdjson::ondemand::parser on_demand;
  const bool is_flat = shape.write != envelope;
  Judge judge{.schema = schema};
  Judge generally{.schema = schema, .is_general = true};
  Judge inferring{.schema = nullptr};
  std::vector<Line> lines;
  if (is_flat) {
    lines.push_back(
        {"simdjson on demand, every value", [&](auto json) { parse_on_demand(on_demand, json); }});
    lines.push_back({"simdjson DOM, every value", [&](auto json) { parse_dom(dom, json); }});
  }
  lines.push_back({"validate and extract", [&](auto json) { judge(json); }});
  lines.push_back({"  the general way", [&](auto json) { generally(json); }});
  lines.push_back({"extract without a schema", [&](auto json) { inferring(json); }});
  for (int round = 0; round < kRounds; ++round) {
    for (Line& line : lines) {
      const double begin = cpu_ns();
      for (int i = 0; i < kRound; ++i) line.once(payloads.next());
      line.best = std::min(line.best, (cpu_ns() - begin) / kRound);
    }
  }
  std::printf("%s, %zu bytes\n", shape.name, payloads.mean_size());
  for (const Line& line : lines) {
    std::printf("  %-34s %7.1f ns", line.name.c_str(), line.best);
    if (is_flat) std::printf("  %5.2f x the parse alone", line.best / lines[0].best);
    std::printf("\n");
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view only = count > 1 ? arguments[1] : "";
  auto schema = compile(SchemaKind::kMetricsTable, kTable, UnitTable::built_in(), {});
  if (!schema || !(*schema)->is_one_pass()) std::abort();
  if (only.empty() || only == "parse") {
    std::printf("6 metrics and a time, CPU of one message (simdjson: %s)\n",
                simdjson::get_active_implementation()->name().c_str());
    for (const Shape& shape :
         {Shape{"flat", flat}, Shape{"with blanks", with_blanks},
          Shape{"seventeen digits", all_digits}, Shape{"ts, metrics, seq", envelope}}) {
      compare(shape, *schema);
    }
  }
  if (!only.empty() && only != "hop") return 0;
  for (const bool has_sequence : {false, true}) {
    Hop hop(has_sequence);
    double best = 1e18;
    for (std::int64_t round = 0; round < kRounds; ++round) {
      hop.prepare(round);
      const double begin = cpu_ns();
      hop();
      best = std::min(best, (cpu_ns() - begin) / kRound);
    }
    std::printf("a record, from its envelope to its outputs, %s a sequence number: %.0f ns\n",
                has_sequence ? "with" : "without", best);
  }
  return sink == 0 ? 1 : 0;
}
