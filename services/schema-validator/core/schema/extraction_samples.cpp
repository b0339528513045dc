#include "core/schema/extraction.h"

#include <algorithm>
#include <format>

#include <sluice/base/planted_bug.h>

namespace sluice::validator {

using Inside = Extractor::Inside;

// --- Samples and readings

void Inside::begin_sample() {
  into->samples.push_back(
      {.first_reading = static_cast<std::uint32_t>(into->readings.size()), .reading_count = 0});
  ++stamp;
  last_field = kNone;
  name.clear();
  if (has_rules) tape.clear();
}

bool Inside::end_object(const ObjectRule& rule) {
  for (const std::uint32_t index : rule.required) {
    if (seen[index] != stamp) {
      return reject(RejectReason::kSchemaViolation, "the schema requires this member",
                    program->fields[index].key);
    }
  }
  for (const std::uint32_t index : rule.presets) {
    if (seen[index] != stamp && !add_preset(program->fields[index])) return false;
  }
  return true;
}

/// What a payload says itself is bounded by its own limits; presets alone come of nothing, for each
/// sample anew.
bool Inside::add_preset(const Field& field) {
  if (into->readings.size() >= policy.max_readings &&
      !SLUICE_PLANTED_BUG("validator_bounds_no_defaults")) {
    return reject(
        RejectReason::kPayloadTooComplex,
        std::format("with its defaults a message of more than {} readings", policy.max_readings),
        field.key);
  }
  const Literal& preset = *field.preset;
  return emit({.type = preset.type,
               .quality = kDefaulted,
               .number = preset.type == ValueType::kDouble ? preset.number : 0,
               .integer = preset.integer,
               .text = preset.text,
               .metric_id = field.metric});
}

bool Inside::end_sample() {
  Sample& sample = into->samples.back();
  sample.reading_count = static_cast<std::uint32_t>(into->readings.size()) - sample.first_reading;
  if (has_rules) {
    JsonRules::Violation violation;
    if (!program->rules->is_valid(tape, 0, policy.max_steps, violation)) {
      const RejectReason reason = violation.is_out_of_steps ? RejectReason::kPayloadTooComplex
                                                            : RejectReason::kSchemaViolation;
      frames.back().field = kNone;
      keys.resize(frames.back().key_begin);
      reject(reason, violation.detail);
      rejection->pointer += violation.pointer;
      return false;
    }
  }
  if (sample.reading_count == 0) {
    frames.back().field = kNone;
    keys.resize(frames.back().key_begin);
    return reject(RejectReason::kUnknownShape, "a sample without a metric");
  }
  return true;
}

bool Inside::emit(const Reading& reading) {
  const MetricInfo& metric = program->metrics[reading.metric_id];
  Reading& made = into->readings.emplace_back(reading);
  made.metric = metric.name;
  made.metric_hash = program->metric_hashes[reading.metric_id];
  if (reading.type != ValueType::kString && reading.type != ValueType::kBytes) {
    made.unit = metric.unit;
  }
  return true;
}

bool Inside::emit_free(Reading reading) {
  const std::size_t count = into->readings.size() - into->samples.back().first_reading;
  if (count >= policy.max_metrics) {
    return reject(RejectReason::kTooManyMetrics, "more metrics than a sample may have");
  }
  if (!free_name()) return false;
  // {"a.b": 1} and {"a": {"b": 1}} are one metric.
  if (name.find('.') != std::string::npos) {
    if ((program != nullptr && program->metric_by_name.contains(name)) ||
        known.add(~into->samples.size(), name) == KeySet::Outcome::kKnown) {
      return reject(RejectReason::kMalformedPayload, "the metric stands here twice: " + name);
    }
  }
  reading.metric_id = program != nullptr
                          ? static_cast<std::uint32_t>(program->metrics.size() + count)
                          : static_cast<std::uint32_t>(count);
  into->readings.push_back(reading);
  // Among the readings first: a text of it may have to move.
  const auto kept = keep(name);
  if (!kept) return false;
  into->readings.back().metric = *kept;
  return true;
}

/// A view that lives as long as the payload or `into`.
std::optional<std::string_view> Inside::keep(std::string_view text) {
  if (text.empty()) return std::string_view();
  if (text.data() >= payload.data() &&
      text.data() + text.size() <= payload.data() + payload.size()) {
    return text;
  }
  std::string& texts = into->texts;
  if (text.size() > policy.max_texts - texts.size()) {
    reject(RejectReason::kPayloadTooComplex,
           std::format("names and texts of more than {} bytes once they are spelled out",
                       policy.max_texts));
    return std::nullopt;
  }
  if (texts.capacity() - texts.size() < text.size()) {
    // Views into the text so far move along with it.
    const char* const before = texts.data();
    const std::size_t used = texts.size();
    std::string moved;
    moved.reserve(std::max(2 * texts.capacity(), used + text.size() + 1024));
    moved.append(texts);
    for (Reading& reading : into->readings) {
      for (std::string_view* const view : {&reading.metric, &reading.unit, &reading.text}) {
        if (view->data() >= before && view->data() < before + used) {
          *view = {moved.data() + (view->data() - before), view->size()};
        }
      }
    }
    texts = std::move(moved);
  }
  const std::size_t begin = texts.size();
  texts.append(text);
  return std::string_view(texts.data() + begin, text.size());
}

}  // namespace sluice::validator
