#include "core/schema/ecma_regex.h"
#include "core/schema/exact_numbers.h"
#include "core/schema/extraction.h"

#include <cmath>
#include <format>

namespace sluice::validator {

using Inside = Extractor::Inside;

namespace {

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
  const auto kept = type == ValueType::kBool ? std::string_view() : keep(text);
  if (!kept) return false;
  return emit({.type = type, .integer = integer, .text = *kept, .metric_id = field.metric});
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

}  // namespace sluice::validator
