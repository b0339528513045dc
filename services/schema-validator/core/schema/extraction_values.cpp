#include "core/payload/timestamp.h"
#include "core/schema/exact_numbers.h"
#include "core/schema/extraction.h"

#include <cmath>

namespace sluice::validator {

using Inside = Extractor::Inside;

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
      if (const auto kept = keep(value)) return emit_free({.type = type, .text = *kept});
      return false;
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

}  // namespace sluice::validator
