#include "core/schema/extractor.h"

#include "core/payload/timestamp.h"
#include "core/schema/extraction.h"
#include "core/schema/flat_reader.h"

#include <sluice/base/check.h>

namespace sluice::validator {

using Inside = Extractor::Inside;

namespace {

/// Of messages without a schema.
const FlatPlan& free_plan() {
  static const FlatPlan kPlan(nullptr);
  return kPlan;
}

}  // namespace

Extractor::Extractor(const ExtractPolicy& policy) : inside_(std::make_unique<Inside>(policy)) {}
Extractor::~Extractor() = default;

void Extractor::begin(const CompiledSchema* schema, Extracted& into,
                      std::span<const std::byte> payload) {
  inside_->begin(schema, into, payload);
}

bool Extractor::take_flat_json(std::string_view json, const PayloadLimits& limits) {
  return inside_->take_flat(json, limits);
}

std::string Extractor::place() const {
  const Inside& in = *inside_;
  std::string pointer = in.pointer({});
  // An element is counted when it is told, which this one was not yet.
  if (!in.frames.empty() && in.frames.back().is_array) {
    const std::uint32_t index = in.frames.back().index;
    if (index > 0) pointer.resize(pointer.rfind('/'));
    pointer += '/' + std::to_string(index);
  }
  return pointer;
}

std::optional<Rejection> Extractor::finish() {
  Inside& in = *inside_;
  if (!in.rejection && !in.is_done) in.reject(RejectReason::kMalformedPayload, "no value");
  if (!in.rejection && in.into->samples.empty()) {
    in.reject(RejectReason::kUnknownShape, "an array without a sample");
  }
  return std::move(in.rejection);
}

bool Extractor::on_null() { return inside_->on_scalar_null(); }
bool Extractor::on_bool(bool value) { return inside_->on_truth(value); }
bool Extractor::on_int64(std::int64_t value) { return inside_->on_integer(value); }
bool Extractor::on_uint64(std::uint64_t value) { return inside_->on_natural(value); }
bool Extractor::on_double(double value) { return inside_->on_real(value); }
bool Extractor::on_string(std::string_view value) {
  return inside_->on_text(value, ValueType::kString);
}
bool Extractor::on_bytes(std::span<const std::byte> value) {
  return inside_->on_text({reinterpret_cast<const char*>(value.data()), value.size()},
                          ValueType::kBytes);
}
bool Extractor::begin_object() { return inside_->open(false); }
bool Extractor::on_key(std::string_view key) { return inside_->key(key); }
bool Extractor::end_object() { return inside_->close(); }
bool Extractor::begin_array() { return inside_->open(true); }
bool Extractor::end_array() { return inside_->close(); }

void Inside::begin(const CompiledSchema* schema, Extracted& extracted,
                   std::span<const std::byte> bytes) {
  program = schema != nullptr ? &schema->program() : nullptr;
  flat = schema != nullptr ? schema->flat() : &free_plan();
  has_rules = program != nullptr && program->rules != nullptr;
  into = &extracted;
  into->clear();
  payload = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  is_done = false;
  rejection.reset();
  next = Next::kPayload;
  frames.clear();
  keys.clear();
  name.clear();
  known.clear();
  objects = 0;
  order = &orders[(reinterpret_cast<std::uintptr_t>(program) >> 6U) % orders.size()];
  if (program == nullptr) return;
  if (seen.size() < program->fields.size()) seen.resize(program->fields.size(), 0);
  // A program may have come to lie where another one did: what is left of that one is a bad hint,
  // and no more than that.
  if (order->program != program || order->after.size() != program->fields.size() + 1) {
    order->program = program;
    order->after.resize(program->fields.size() + 1);
    for (std::uint32_t i = 0; i < order->after.size(); ++i) {
      order->after[i] = i < program->fields.size() ? i : kNone;
    }
  }
}

bool Inside::take_flat(std::string_view json, const PayloadLimits& limits) {
  // No part of it can pass what the whole does not.
  if (flat == nullptr || json.size() > limits.max_bytes || json.size() > limits.max_text ||
      json.size() / 2 >= limits.max_values) {
    return false;
  }
  FlatReader::Order& hints = order->flat;
  if (hints.size() != flat->places()) hints.assign(flat->places(), 0);
  is_done = FlatReader(*this, *flat, hints, limits.max_depth).read(json);
  if (!is_done) {
    into->clear();
    rejection.reset();
    next = Next::kPayload;
  }
  return is_done;
}

// --- Structure

bool Inside::open(bool is_array) {
  Frame frame{
      .is_array = is_array,
      .key_begin = static_cast<std::uint32_t>(keys.size()),
      // Not name's own size: the last reading beside this object may have left its name there.
      .name_size = frames.empty() ? 0 : frames.back().name_size,
      .id = ++objects};
  if (!frames.empty() && frames.back().is_array) ++frames.back().index;
  switch (next) {
    case Next::kPayload:
      if (!is_array) {
        frame.kind = Kind::kSample;
      } else {
        frame.kind = Kind::kSamples;
      }
      break;
    case Next::kElement:
      if (is_array) return reject(RejectReason::kUnknownShape, "an array of arrays");
      frame.kind = Kind::kSample;
      break;
    case Next::kField: {
      const Field& field = program->fields[next_field];
      if (field.role == Role::kObject && !is_array) {
        frame.kind = Kind::kObject;
        frame.object = field.object;
      } else if (field.role == Role::kMetric && !is_array &&
                 (field.types & (kNumberBit | kIntegerBit)) != 0) {
        frame.kind = Kind::kQuantity;
        quantity_field = next_field;
        has_value = has_unit = false;
      } else if (has_rules) {
        frame.kind = Kind::kIgnored;
      } else {
        return wrong_type(field, is_array ? "an array" : "an object");
      }
      break;
    }
    case Next::kLifted:
      if (is_array) return reject(RejectReason::kUnknownShape, "an array where metrics belong");
      frame.kind = Kind::kLifted;
      break;
    case Next::kFree:
      frame.kind = Kind::kFree;
      if (!free_name()) return false;
      frame.name_size = static_cast<std::uint32_t>(name.size());
      break;
    case Next::kIgnored:
      frame.kind = Kind::kIgnored;
      break;
    case Next::kTime:
    case Next::kSequence:
    case Next::kBuffered:
    case Next::kQuantityValue:
    case Next::kQuantityUnit:
      return reject(RejectReason::kSchemaViolation, "a single value belongs here");
  }
  if (frame.kind == Kind::kSample) {
    if (into->samples.size() >= policy.max_samples) {
      return reject(RejectReason::kPayloadTooComplex, "more samples than a payload may have");
    }
    begin_sample();
  }
  if (has_rules) {
    const bool is_root = frame.kind == Kind::kSample;
    frame.is_recorded =
        is_root || (!frames.empty() && frames.back().is_recorded && frame.kind != Kind::kQuantity);
    if (frame.is_recorded && frame.kind != Kind::kLifted) {
      tape.begin(is_array ? JsonType::kArray : JsonType::kObject);
    }
  }
  frames.push_back(frame);
  if (!is_array) return true;
  next = frame.kind == Kind::kSamples ? Next::kElement
         : frame.kind == Kind::kFree  ? Next::kFree
                                      : Next::kIgnored;
  return true;
}

bool Inside::close() {
  const Frame frame = frames.back();
  switch (frame.kind) {
    case Kind::kSample:
      if (program != nullptr && !end_object(program->objects.front())) return false;
      if (has_rules) tape.end();
      if (!end_sample()) return false;
      break;
    case Kind::kObject:
      if (!end_object(program->objects[frame.object])) return false;
      break;
    case Kind::kQuantity:
      if (!take_quantity()) return false;
      break;
    default:
      break;
  }
  if (frame.is_recorded && frame.kind != Kind::kLifted && frame.kind != Kind::kSample) tape.end();
  frames.pop_back();
  keys.resize(frame.key_begin);
  if (frames.empty()) {
    is_done = true;
    return true;
  }
  const Frame& outer = frames.back();
  name.resize(outer.name_size);
  last_field = outer.field;
  if (outer.is_array) {
    next = outer.kind == Kind::kSamples ? Next::kElement
           : outer.kind == Kind::kFree  ? Next::kFree
                                        : Next::kIgnored;
  }
  return true;
}

// --- Faults

bool Inside::reject(RejectReason reason, std::string detail, std::string_view member) {
  rejection = {.reason = reason, .detail = std::move(detail), .pointer = pointer(member)};
  return false;
}

std::string Inside::pointer(std::string_view member) const {
  std::string path;
  const auto add = [&](std::string_view part) {
    path.push_back('/');
    for (const char c : part) {
      if (c == '~') {
        path += "~0";
      } else if (c == '/') {
        path += "~1";
      } else {
        path.push_back(c);
      }
    }
  };
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const Frame& frame = frames[i];
    if (!member.empty() && i + 1 == frames.size()) break;  // a member that is not there
    if (frame.is_array) {
      if (frame.index > 0) add(std::to_string(frame.index - 1));
    } else if (frame.field != kNone) {
      add(program->fields[frame.field].key);
    } else {
      const std::size_t end = i + 1 < frames.size() ? frames[i + 1].key_begin : keys.size();
      if (end > frame.key_begin) {
        add(std::string_view(keys).substr(frame.key_begin, end - frame.key_begin));
      }
    }
  }
  if (!member.empty()) add(member);
  return path;
}

}  // namespace sluice::validator
