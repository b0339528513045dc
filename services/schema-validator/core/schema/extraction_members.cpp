#include "core/schema/extraction.h"

namespace sluice::validator {

using Inside = Extractor::Inside;

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

}  // namespace sluice::validator
