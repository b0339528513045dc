// Whatever the payload is, judging it ends, and what is taken out of it lies where it says.
#include "core/payload/json_decoder.h"
#include "core/schema/compiled_schema.h"
#include "core/schema/extractor.h"
#include "fuzz.h"

#include <array>
#include <memory>
#include <string>

namespace {

using namespace sluice::validator;

std::shared_ptr<const CompiledSchema> compiled(SchemaKind kind, std::string_view document) {
  auto made = compile(kind, document, UnitTable::built_in(), {});
  SLUICE_CHECK(made.has_value());
  return *std::move(made);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array<std::shared_ptr<const CompiledSchema>, 3> kSchemas = {
      nullptr,
      compiled(SchemaKind::kMetricsTable,
               R"({"metrics":[{"name":"a","type":"double","unit":"Cel","max":9},
                   {"name":"b","type":"int64","default":1},{"name":"c.d","type":"string"}],
                   "additional":"keep"})"),
      compiled(SchemaKind::kJsonSchema,
               R"({"properties":{"a":{"type":"number"},"e":{"type":"array","uniqueItems":true}},
                   "patternProperties":{"^x":{"type":"integer"}},"unevaluatedProperties":false})")};
  static JsonDecoder decoder;
  static Extractor extractor;
  static Extracted extracted;
  sluice::fuzz::Choices choices(data, size);
  const auto& schema = kSchemas[choices.below(3)];
  std::string json(sluice::fuzz::as_text(data, size).substr(size > 0 ? 1 : 0));
  const std::size_t length = json.size();
  json.resize(length + kPayloadPadding);
  const auto payload = std::as_bytes(std::span(json.data(), length));
  extractor.begin(schema.get(), extracted, payload);
  if (decoder.decode(payload, {}, extractor) || extractor.finish()) return 0;
  std::size_t readings = 0;
  for (const Sample& sample : extracted.samples) {
    SLUICE_CHECK(sample.first_reading == readings && sample.reading_count > 0);
    readings += sample.reading_count;
  }
  SLUICE_CHECK(readings == extracted.readings.size());
  std::size_t total = 0;
  for (const Reading& reading : extracted.readings) {
    SLUICE_CHECK(!reading.metric.empty());
    for (const char c : reading.metric) total += static_cast<unsigned char>(c);
    for (const char c : reading.text) total += static_cast<unsigned char>(c);
  }
  SLUICE_CHECK(total > 0 || extracted.readings.empty());
  return 0;
}
