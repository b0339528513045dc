#include "core/schema/extractor.h"

#include "core/payload/timestamp.h"
#include "core/schema/extraction.h"

#include <sluice/base/check.h>

namespace sluice::validator {

using Inside = Extractor::Inside;

Extractor::Extractor(const ExtractPolicy& policy) : inside_(std::make_unique<Inside>(policy)) {}
Extractor::~Extractor() = default;

void Extractor::begin(const CompiledSchema* schema, Extracted& into,
                      std::span<const std::byte> payload) {
  inside_->begin(schema, into, payload);
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
  if (program == nullptr) return;
  if (seen.size() < program->fields.size()) seen.resize(program->fields.size(), 0);
  order = &orders[(reinterpret_cast<std::uintptr_t>(program) >> 6U) % orders.size()];
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

// --- Structure

bool Inside::open(bool is_array) {
  Frame frame{.is_array = is_array,
              .key_begin = static_cast<std::uint32_t>(keys.size()),
              .name_size = static_cast<std::uint32_t>(name.size()),
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

// --- Members

bool Inside::key(std::string_view key) {
  Frame& frame = frames.back();
  switch (frame.kind) {
    case Kind::kSample:
    case Kind::kLifted:
      return root_key(frame, key);
    case Kind::kObject: {
      const std::uint32_t field = find(frame, key);
      return field != kNone ? found(frame, field) : unknown_key(frame, key);
    }
    case Kind::kQuantity:
      note_key(frame, key);
      if (!once(frame, key)) return false;
      next = key == "value" ? Next::kQuantityValue : Next::kQuantityUnit;
      return key == "value" || key == "unit" ||
             reject(RejectReason::kSchemaViolation, "a quantity has a value and a unit alone");
    case Kind::kFree:
      note_key(frame, key);
      next = Next::kFree;
      return once(frame, key);
    default:
      note_key(frame, key);
      next = Next::kIgnored;
      if (is_recording()) tape.key(key);
      return once(frame, key);
  }
}

bool Inside::root_key(Frame& frame, std::string_view key) {
  if (program != nullptr) {
    const std::uint32_t field = find(frame, key);
    if (field != kNone) return found(frame, field);
  }
  if (frame.kind == Kind::kSample && !(program != nullptr && program->is_envelope)) {
    if (key == "metrics" || key == "values") {
      note_key(frame, key);
      next = Next::kLifted;
      return once(frame, key);
    }
  }
  if (frame.kind == Kind::kSample) {
    const Next reserved = key == "ts"         ? Next::kTime
                          : key == "seq"      ? Next::kSequence
                          : key == "buffered" ? Next::kBuffered
                                              : Next::kPayload;
    if (reserved != Next::kPayload) {
      note_key(frame, key);
      next = reserved;
      return once(frame, key);
    }
  }
  return unknown_key(frame, key);
}

bool Inside::unknown_key(Frame& frame, std::string_view key) {
  note_key(frame, key);
  // Members of `metrics` and of the sample itself are one and the same thing.
  const Frame& owner = frame.kind == Kind::kLifted ? frames[frames.size() - 2] : frame;
  if (!once(owner, key)) return false;
  const Additional additional =
      program == nullptr ? Additional::kKeep : program->objects[frame.object].additional;
  if (additional == Additional::kReject) {
    return reject(RejectReason::kSchemaViolation, "the schema does not name this member");
  }
  if (is_recording()) tape.key(key);
  if (additional == Additional::kIgnore) {
    next = Next::kIgnored;
    return true;
  }
  next = Next::kFree;
  if (frame.kind == Kind::kObject) {
    // The name begins with those of the objects around it, which the schema has joined already.
    name.clear();
    for (const Frame& each : frames) {
      if (each.kind != Kind::kObject) continue;
      const Frame& holder = *(&each - 1);
      name.append(program->fields[holder.field].key).push_back('.');
    }
    if (!name.empty()) name.pop_back();
    frame.name_size = static_cast<std::uint32_t>(name.size());
  }
  return true;
}

void Inside::note_key(Frame& frame, std::string_view key) {
  frame.field = kNone;
  keys.resize(frame.key_begin);
  keys.append(key);
}

bool Inside::found(Frame& frame, std::uint32_t field) {
  order->after[last_field + 1] = field;
  last_field = field;
  frame.field = field;
  next = Next::kField;
  next_field = field;
  if (seen[field] == stamp) {
    return reject(RejectReason::kMalformedPayload, "the member stands here twice");
  }
  seen[field] = stamp;
  if (has_rules && frame.is_recorded) tape.key(program->fields[field].key);
  return true;
}

std::uint32_t Inside::find(const Frame& frame, std::string_view key) {
  // kNone + 1 is 0: the beginning.
  const std::uint32_t likely = order->after[last_field + 1];
  const ObjectRule& rule = program->objects[frame.object];
  if (likely != kNone && program->fields[likely].key == key) {
    // The hint may be of another object.
    const bool is_ours =
        !rule.fields.empty() && likely >= rule.fields.front() && likely <= rule.fields.back();
    if (is_ours) return likely;
  }
  const auto it = rule.by_key.find(key);
  return it == rule.by_key.end() ? kNone : it->second;
}

bool Inside::once(const Frame& frame, std::string_view key) {
  switch (known.add(frame.id, key)) {
    case KeySet::Outcome::kNew:
      return true;
    case KeySet::Outcome::kKnown:
      return reject(RejectReason::kMalformedPayload, "the member stands here twice");
    case KeySet::Outcome::kCrowded:
      break;
  }
  return reject(RejectReason::kPayloadTooComplex, "member names that are made to slow us down");
}

/// Appends the member at work to the dotted name.
bool Inside::free_name() {
  const Frame& frame = frames.back();
  name.resize(frame.name_size);
  if (!name.empty()) name.push_back('.');
  if (frame.is_array) {
    name.append(std::to_string(frame.index - 1));
  } else {
    name.append(keys, frame.key_begin);
  }
  if (name.empty() || name.size() > policy.max_name) {
    return reject(RejectReason::kPayloadTooComplex, "a metric's name is empty or too long");
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
