#include "core/payload/timestamp.h"
#include "core/schema/ecma_regex.h"
#include "core/schema/extraction.h"

#include <cmath>
#include <format>

#include <sluice/base/check.h>

namespace sluice::validator {

using Inside = Extractor::Inside;

namespace {

constexpr double kTwoTo63 = 9'223'372'036'854'775'808.0;

bool is_int64(double value) {
  return value >= -kTwoTo63 && value < kTwoTo63 && std::trunc(value) == value;
}
/// Whether a double tells this integer from its neighbours.
bool is_exact(std::int64_t value) {
  const auto number = static_cast<double>(value);
  return number < kTwoTo63 && static_cast<std::int64_t>(number) == value;
}

std::size_t characters(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  return count;
}

std::string words_of(std::uint8_t types) {
  static constexpr std::pair<std::uint8_t, std::string_view> kWords[] = {
      {kNumberBit, "a number"}, {kIntegerBit, "an integer"}, {kBoolBit, "a truth value"},
      {kStringBit, "a text"},   {kBytesBit, "bytes"},        {kObjectBit, "an object"},
      {kArrayBit, "an array"},  {kNullBit, "null"}};
  std::string words;
  for (const auto& [bit, word] : kWords) {
    if ((types & bit) == 0) continue;
    if (bit == kIntegerBit && (types & kNumberBit) != 0) continue;
    words += (words.empty() ? "" : " or ");
    words += word;
  }
  return words;
}

}  // namespace

// --- Values, by what they are for

bool Inside::on_scalar_null() {
  if (!frames.empty() && frames.back().is_array) ++frames.back().index;
  switch (next) {
    case Next::kPayload:
    case Next::kElement:
      return reject(RejectReason::kUnknownShape, "a sample is an object");
    case Next::kField: {
      const Field& field = program->fields[next_field];
      if (is_recording()) tape.add_null();
      return (field.types & kNullBit) != 0 || has_rules || wrong_type(field, "null");
    }
    case Next::kQuantityValue:
    case Next::kQuantityUnit:
      return reject(RejectReason::kSchemaViolation, "a quantity has a number and a unit");
    case Next::kIgnored:
    case Next::kFree:
      if (is_recording()) tape.add_null();
      return true;
    default:
      return true;  // "ts": null is no time
  }
}

bool Inside::check_reserved(std::string_view wanted) {
  return reject(RejectReason::kSchemaViolation, "expected " + std::string(wanted));
}

bool Inside::take_time(std::optional<std::int64_t> milliseconds) {
  if (!milliseconds) {
    return check_reserved("a time: ISO 8601, or seconds, milliseconds or microseconds since 1970");
  }
  into->samples.back().device_time_ms = milliseconds;
  return true;
}

bool Inside::on_truth(bool value) {
  if (!frames.empty() && frames.back().is_array) ++frames.back().index;
  switch (next) {
    case Next::kField:
      return field_other(program->fields[next_field], ValueType::kBool, value ? 1 : 0, {});
    case Next::kFree:
      if (is_recording()) tape.add_bool(value);
      return emit_free({.type = ValueType::kBool, .integer = value ? 1 : 0});
    case Next::kIgnored:
      if (is_recording()) tape.add_bool(value);
      return true;
    case Next::kBuffered:
      into->samples.back().buffered = value;
      return true;
    default:
      return misplaced();
  }
}

/// Says what belongs where a value of another type was met.
bool Inside::misplaced() {
  switch (next) {
    case Next::kTime:
      return take_time(std::nullopt);
    case Next::kSequence:
      return check_reserved("a natural number");
    case Next::kBuffered:
      return check_reserved("a truth value");
    case Next::kLifted:
      return check_reserved("an object of metrics");
    case Next::kQuantityValue:
    case Next::kQuantityUnit:
      return reject(RejectReason::kSchemaViolation, "a quantity has a number and a unit");
    default:
      return reject(RejectReason::kUnknownShape, "a sample is an object");
  }
}

bool Inside::on_integer(std::int64_t value) {
  if (next == Next::kField) {
    // Nearly all; and no element of an array is a field.
    return field_integer(program->fields[next_field], value);
  }
  if (!frames.empty() && frames.back().is_array) ++frames.back().index;
  switch (next) {
    case Next::kFree:
      if (is_recording()) tape.add_int64(value);
      return emit_free({.type = ValueType::kInt64, .integer = value});
    case Next::kIgnored:
      if (is_recording()) tape.add_int64(value);
      return true;
    case Next::kTime:
      return take_time(epoch_ms(value));
    case Next::kSequence:
      if (value < 0) return check_reserved("a natural number");
      into->samples.back().sequence = static_cast<std::uint64_t>(value);
      return true;
    case Next::kBuffered:
      if (value != 0 && value != 1) return check_reserved("a truth value");
      into->samples.back().buffered = value == 1;
      return true;
    case Next::kQuantityValue:
      has_value = true;
      is_real = false;
      quantity_integer = value;
      return true;
    default:
      return misplaced();
  }
}

bool Inside::on_natural(std::uint64_t value) {
  if (next == Next::kSequence) {
    into->samples.back().sequence = value;
    return true;
  }
  if (next == Next::kIgnored) {
    if (frames.back().is_array) ++frames.back().index;
    if (is_recording()) tape.add_uint64(value);
    return true;
  }
  if (next == Next::kField) {
    const Field& field = program->fields[next_field];
    const auto number = static_cast<double>(value);
    const bool exact = number < 2 * kTwoTo63 && static_cast<std::uint64_t>(number) == value;
    if (field.store == ValueType::kDouble && exact) return field_real(field, number);
    if (field.role == Role::kAnything || field.role == Role::kChecked) {
      if (is_recording()) tape.add_uint64(value);
      return true;
    }
  }
  return reject(RejectReason::kNumberOutOfRange, "an integer beyond 64 bits with a sign");
}

bool Inside::on_real(double value) {
  if (next == Next::kField) return field_real(program->fields[next_field], value);
  if (!frames.empty() && frames.back().is_array) ++frames.back().index;
  switch (next) {
    case Next::kFree:
      if (!std::isfinite(value)) {
        return policy.non_finite == NonFinite::kDrop ||
               reject(RejectReason::kNonFiniteNumber, "no finite number");
      }
      if (is_recording()) tape.add_double(value);
      return emit_free({.type = ValueType::kDouble, .number = value});
    case Next::kIgnored:
      if (is_recording()) tape.add_double(value);
      return true;
    case Next::kTime:
      return take_time(epoch_ms(value));
    case Next::kSequence:
      if (!(value >= 0) || !is_int64(value)) return check_reserved("a natural number");
      into->samples.back().sequence = static_cast<std::uint64_t>(value);
      return true;
    case Next::kQuantityValue:
      has_value = is_real = true;
      quantity_real = value;
      return true;
    default:
      return misplaced();
  }
}

bool Inside::on_text(std::string_view value, ValueType type) {
  if (!frames.empty() && frames.back().is_array) ++frames.back().index;
  switch (next) {
    case Next::kField:
      return field_other(program->fields[next_field], type, 0, value);
    case Next::kFree:
      if (is_recording()) tape.add_string(value);
      return emit_free({.type = type, .text = keep(value)});
    case Next::kIgnored:
      if (is_recording()) tape.add_string(value);
      return true;
    case Next::kTime:
      return take_time(parse_timestamp(value));
    case Next::kQuantityUnit:
      has_unit = true;
      quantity_unit.assign(value);
      return true;
    case Next::kBuffered:
      return check_reserved("a truth value");
    default:
      return misplaced();
  }
}

// --- Fields of the schema

/// Goes on as with a reserved member that the schema does not name; false where it names another
/// type.
bool Inside::as_reserved(const Field& field, int bits) {
  next = field.role == Role::kTime       ? Next::kTime
         : field.role == Role::kSequence ? Next::kSequence
                                         : Next::kBuffered;
  return has_rules || (field.types & bits) != 0;
}

bool Inside::wrong_type(const Field& field, std::string_view got) {
  return reject(RejectReason::kSchemaViolation,
                std::format("expected {}, got {}", words_of(field.types), got));
}

bool Inside::outside(const Field& field) {
  return reject(RejectReason::kSchemaViolation,
                std::format("outside of {} to {}", field.minimum, field.maximum));
}

bool Inside::allows(const Field& field, ValueType type, double number, std::int64_t integer,
                    std::string_view text) const {
  for (const Literal& literal : field.allowed) {
    if (literal.type == ValueType::kDouble || literal.type == ValueType::kInt64) {
      const bool is_integer = type == ValueType::kInt64;
      if (!is_integer && type != ValueType::kDouble) continue;
      // 1 and 1.0 are one number. Integers that no double tells apart are compared as integers.
      if (is_integer && literal.type == ValueType::kInt64 ? literal.integer == integer
                                                          : literal.number == number) {
        return true;
      }
    } else if (literal.type == type && literal.integer == integer && literal.text == text) {
      return true;
    }
  }
  return field.allowed.empty();
}

bool Inside::field_integer(const Field& field, std::int64_t value, bool is_converted) {
  const bool is_told = field.role == Role::kMetric;
  if (!is_told && field.role >= Role::kTime) {
    if (!as_reserved(field, kIntegerBit | kNumberBit)) return wrong_type(field, "a number");
    if (is_recording()) tape.add_int64(value);
    return on_integer(value);
  }
  if ((field.types & (kIntegerBit | kNumberBit)) == 0) {
    if (!has_rules) return wrong_type(field, "a number");
  }
  if (field.source && !is_converted)
    return convert(*field.source, field, static_cast<double>(value));
  if (field.has_bounds && (value < field.minimum_integer || value > field.maximum_integer)) {
    return outside(field);
  }
  if (!field.allowed.empty() &&
      !allows(field, ValueType::kInt64, static_cast<double>(value), value, {})) {
    return reject(RejectReason::kSchemaViolation, "none of the values that are allowed");
  }
  if (is_recording()) tape.add_int64(value);
  if (!is_told) return true;
  if (field.store == ValueType::kDouble) {
    if (!is_exact(value)) {
      return reject(RejectReason::kNumberOutOfRange, "an integer that no double holds exactly");
    }
    return emit({.type = ValueType::kDouble,
                 .number = static_cast<double>(value),
                 .metric_id = field.metric});
  }
  return emit({.type = ValueType::kInt64, .integer = value, .metric_id = field.metric});
}

bool Inside::field_real(const Field& field, double value, bool is_converted) {
  const bool is_told = field.role == Role::kMetric;
  if (!is_told && field.role >= Role::kTime) {
    const bool is_whole = is_int64(value);
    if (!as_reserved(field, is_whole ? kIntegerBit | kNumberBit : kNumberBit)) {
      return wrong_type(field, "a number");
    }
    if (is_recording()) tape.add_double(value);
    return on_real(value);
  }
  if (!std::isfinite(value)) {
    if (policy.non_finite == NonFinite::kReject) {
      return reject(RejectReason::kNonFiniteNumber, "no finite number");
    }
    if (is_recording()) tape.add_null();
    return true;
  }
  if (field.source && !is_converted) return convert(*field.source, field, value);
  if ((field.types & kNumberBit) == 0) {
    // 1.0 is an integer: JSON knows no other kind of number than that.
    if ((field.types & kIntegerBit) != 0 && is_int64(value)) {
      return field_integer(field, static_cast<std::int64_t>(value), is_converted);
    }
    if (!has_rules) {
      return wrong_type(field, (field.types & kIntegerBit) != 0 ? "a fraction" : "a number");
    }
  }
  if (field.has_bounds && !(value >= field.minimum && value <= field.maximum)) {
    return outside(field);
  }
  if (!field.allowed.empty() && !allows(field, ValueType::kDouble, value, 0, {})) {
    return reject(RejectReason::kSchemaViolation, "none of the values that are allowed");
  }
  if (is_recording()) tape.add_double(value);
  if (!is_told) return true;
  return emit({.type = ValueType::kDouble, .number = value, .metric_id = field.metric});
}

bool Inside::field_other(const Field& field, ValueType type, std::int64_t integer,
                         std::string_view text) {
  const std::uint8_t bit = type == ValueType::kBool     ? kBoolBit
                           : type == ValueType::kString ? kStringBit
                                                        : kBytesBit;
  if (is_recording()) {
    if (type == ValueType::kBool) {
      tape.add_bool(integer != 0);
    } else {
      tape.add_string(text);
    }
  }
  if (field.role >= Role::kTime) {
    if (!as_reserved(field, bit)) return wrong_type(field, words_of(bit));
    return type == ValueType::kBool ? on_truth(integer != 0) : on_text(text, type);
  }
  if ((field.types & bit) == 0 && !has_rules) {
    return wrong_type(field, words_of(bit));
  }
  if (!field.allowed.empty() && !allows(field, type, 0, integer, text)) {
    return reject(RejectReason::kSchemaViolation, "none of the values that are allowed");
  }
  if (field.has_text_rules && type == ValueType::kString) {
    const std::size_t length = characters(text);
    if (length < field.minimum_length || length > field.maximum_length) {
      return reject(RejectReason::kSchemaViolation,
                    std::format("a text of {} characters, where {} to {} are allowed", length,
                                field.minimum_length, field.maximum_length));
    }
    if (field.pattern != nullptr && !matches(*field.pattern, text)) {
      return reject(RejectReason::kSchemaViolation, "does not match " + text_of(*field.pattern));
    }
  }
  if (field.role != Role::kMetric) return true;
  return emit({.type = type,
               .integer = integer,
               .text = type == ValueType::kBool ? std::string_view() : keep(text),
               .metric_id = field.metric});
}

/// Takes a number that is in another unit than the metric's.
bool Inside::convert(const Conversion& conversion, const Field& field, double value) {
  if (!std::isfinite(value)) {
    return policy.non_finite == NonFinite::kDrop ||
           reject(RejectReason::kNonFiniteNumber, "no finite number");
  }
  const double converted = conversion.apply(value);
  if (!std::isfinite(converted)) {
    return reject(RejectReason::kNumberOutOfRange, "out of range once it is converted");
  }
  if (field.has_bounds && !(converted >= field.minimum && converted <= field.maximum)) {
    return outside(field);
  }
  if (!field.allowed.empty() && !allows(field, ValueType::kDouble, converted, 0, {})) {
    return reject(RejectReason::kSchemaViolation, "none of the values that are allowed");
  }
  if (field.store == ValueType::kInt64) {
    if (!is_int64(converted)) {
      return reject(RejectReason::kSchemaViolation, "no integer once it is converted");
    }
    if (is_recording()) tape.add_int64(static_cast<std::int64_t>(converted));
    return emit({.type = ValueType::kInt64,
                 .integer = static_cast<std::int64_t>(converted),
                 .metric_id = field.metric});
  }
  if (is_recording()) tape.add_double(converted);
  return emit({.type = ValueType::kDouble, .number = converted, .metric_id = field.metric});
}

bool Inside::take_quantity() {
  const Field& field = program->fields[quantity_field];
  if (!has_value) return reject(RejectReason::kSchemaViolation, "a quantity has a value", "value");
  const Frame frame = frames.back();
  frames.pop_back();  // faults, and the value itself, are the member's
  bool is_taken = false;
  {
    const std::string& unit = program->metrics[field.metric].unit;
    std::optional<Conversion> conversion;
    if (has_unit) {
      conversion = unit.empty() ? std::nullopt : program->units.conversion(quantity_unit, unit);
      if (!conversion) {
        is_taken = reject(RejectReason::kUnknownUnit,
                          std::format("\"{}\" cannot be converted into \"{}\"",
                                      quantity_unit.substr(0, UnitTable::kMaxNameSize), unit));
      }
    }
    if (!has_unit || (conversion && conversion->is_identity())) {
      // In the metric's own unit, or in that which is agreed on. Not through a double: an integer
      // keeps its bits.
      const auto source = has_unit ? std::nullopt : field.source;
      if (source) {
        is_taken = convert(*source, field,
                           is_real ? quantity_real : static_cast<double>(quantity_integer));
      } else {
        is_taken = is_real ? field_real(field, quantity_real, true)
                           : field_integer(field, quantity_integer, true);
      }
    } else if (conversion) {
      is_taken = convert(*conversion, field,
                         is_real ? quantity_real : static_cast<double>(quantity_integer));
    }
  }
  frames.push_back(frame);
  return is_taken;
}

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
    if (seen[index] != stamp) add_preset(program->fields[index]);
  }
  return true;
}

void Inside::add_preset(const Field& field) {
  const Literal& preset = *field.preset;
  emit({.type = preset.type,
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
  const std::string_view kept = keep(name);
  into->readings.back().metric = kept;
  return true;
}

/// A view that lives as long as the payload or `into`.
std::string_view Inside::keep(std::string_view text) {
  if (text.empty()) return {};
  if (text.data() >= payload.data() &&
      text.data() + text.size() <= payload.data() + payload.size()) {
    return text;
  }
  std::string& texts = into->texts;
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
  return {texts.data() + begin, text.size()};
}

}  // namespace sluice::validator
