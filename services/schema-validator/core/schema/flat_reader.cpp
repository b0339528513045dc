#include "core/schema/flat_reader.h"

#include "core/payload/timestamp.h"
#include "core/schema/flat_reader_inside.h"

#include <sluice/base/planted_bug.h>

namespace sluice::validator {
namespace {

/// Up to it a double holds every integer; any other one is judged by the general rules.
constexpr std::int64_t kExact = std::int64_t{1} << 53U;

}  // namespace

FlatReader::FlatReader(Extractor::Inside& extraction, const FlatPlan& plan, Order& order,
                       std::size_t max_depth)
    : in_(extraction),
      plan_(plan),
      members_(plan.members.data()),
      fields_(extraction.program == nullptr ? nullptr : extraction.program->fields.data()),
      after_(order.data()),
      seen_(extraction.seen.data()),
      left_depth_(max_depth) {}

bool FlatReader::read(std::string_view json) {
  end_ = json.data() + json.size();
  if (SLUICE_PLANTED_BUG("validator_flat_json_believes_what_is_behind")) end_ += 5;
  At at = blanks(json.data());
  if (at >= end_) return false;
  if (*at == '{') {
    at = sample(at);
  } else if (*at == '[') {
    do {
      at = blanks(at + 1);
      if (at >= end_ || *at != '{' || in_.into->samples.size() >= in_.policy.max_samples) {
        return false;
      }
      at = sample(at);
      if (at == nullptr) return false;
      at = blanks(at);
    } while (at < end_ && *at == ',');
    at = at < end_ && *at == ']' ? at + 1 : nullptr;
  } else {
    return false;
  }
  return at != nullptr && at <= end_ && blanks(at) == end_;
}

FlatReader::At FlatReader::sample(At at) {
  in_.begin_sample();
  reserved_ = 0;
  unknown_count_ = 0;
  at = object(at, 0, Place::kSample);
  Sample& sample = in_.into->samples.back();
  sample.reading_count =
      static_cast<std::uint32_t>(in_.into->readings.size()) - sample.first_reading;
  return sample.reading_count > 0 ? at : nullptr;
}

/// From its brace to behind the other one.
FlatReader::At FlatReader::object(At at, std::uint32_t index, Place place) {
  if (left_depth_ == 0) return nullptr;
  --left_depth_;
  last_ = place == Place::kLifted ? plan_.beginning_of_lifted() : plan_.beginning_of(index);
  at = blanks(at + 1);
  if (at >= end_) return nullptr;
  at = *at == '}' ? at + 1 : members(at, index, place);
  ++left_depth_;
  // Members of `metrics` belong to the sample, which is not over.
  if (at == nullptr || place == Place::kLifted || in_.program == nullptr) return at;
  return in_.end_object(in_.program->objects[index]) ? at : nullptr;
}

FlatReader::At FlatReader::members(At at, std::uint32_t index, Place place) {
  const FlatPlan::Object object = plan_.objects[index];
  const std::uint64_t stamp = in_.stamp;
  while (at < end_ && *at == '"') {
    ++at;
    if (const FlatMember* const member = find(at, object)) {
      at = colon(at + member->key.size() + 1);
      if (at >= end_) return nullptr;
      if (member->kind >= FlatKind::kTime) {
        at = reserved(at, *member, place);
      } else {
        if (seen_[member->field] == stamp) return nullptr;  // twice
        seen_[member->field] = stamp;
        at = value(at, *member);
      }
    } else {
      at = unknown(at - 1, index, place);
    }
    if (at == nullptr) return nullptr;
    at = blanks(at);
    if (at >= end_) return nullptr;
    if (*at != ',') return *at == '}' ? at + 1 : nullptr;
    at = blanks(at + 1);
  }
  return nullptr;
}

[[gnu::always_inline]] inline const FlatMember* FlatReader::find(At at,
                                                                 const FlatPlan::Object& object) {
  const std::uint32_t likely = after_[last_];
  if (likely - object.first < object.count && members_[likely].key.stands_at(at, end_)) {
    last_ = likely;
    return &members_[likely];
  }
  return find_anew(at, object);
}

const FlatMember* FlatReader::find_anew(At at, const FlatPlan::Object& object) {
  for (std::uint32_t i = object.first; i < object.first + object.count; ++i) {
    if (!members_[i].key.stands_at(at, end_)) continue;
    after_[last_] = i;
    last_ = i;
    return &members_[i];
  }
  return nullptr;
}

// --- Values

[[gnu::always_inline]] inline FlatReader::At FlatReader::value(At at, const FlatMember& member) {
  if (*at == 'n') {
    const bool is_good = (fields_[member.field].types & kNullBit) != 0 && is_null_at(at);
    return is_good ? at + 4 : nullptr;
  }
  switch (member.kind) {
    case FlatKind::kReal:
    case FlatKind::kInteger:
      return number_value(at, member);
    case FlatKind::kText:
      return text_value(at, member);
    case FlatKind::kTruth: {
      bool is_true = false;
      at = read_truth(at, is_true);
      if (at != nullptr) in_.into->readings.emplace_back(member.reading).integer = is_true ? 1 : 0;
      return at;
    }
    case FlatKind::kObject: {
      const std::uint32_t before = last_;
      at = *at == '{' ? object(at, member.object, Place::kNested) : nullptr;
      last_ = before;
      return at;
    }
    default:
      return field_value(at, member);
  }
}

[[gnu::always_inline]] inline FlatReader::At FlatReader::number_value(At at,
                                                                      const FlatMember& member) {
  const Field& field = fields_[member.field];
  JsonNumber number;
  at = read_number(at, number);
  if (at == nullptr) return nullptr;
  if (member.kind == FlatKind::kInteger) {
    // 2.0 may be one.
    if (!number.is_integer || number.integer < field.minimum_integer ||
        number.integer > field.maximum_integer) {
      return nullptr;
    }
    in_.into->readings.emplace_back(member.reading).integer = number.integer;
    return at;
  }
  if (number.is_integer) {
    if (number.integer > kExact || number.integer < -kExact) return nullptr;
    number.real = static_cast<double>(number.integer);
  }
  if (!(number.real >= field.minimum && number.real <= field.maximum)) return nullptr;
  in_.into->readings.emplace_back(member.reading).number = number.real;
  return at;
}

inline FlatReader::At FlatReader::text_value(At at, const FlatMember& member) {
  const Field& field = fields_[member.field];
  std::string_view given;
  at = text(at, given);
  if (at == nullptr) return nullptr;
  if (!field.allowed.empty() && !in_.allows(field, ValueType::kString, 0, 0, given)) {
    return nullptr;
  }
  in_.into->readings.emplace_back(member.reading).text = given;
  return at;
}

/// A scalar by the general rules. What they find wrong is found again on the general way, with its
/// place.
FlatReader::At FlatReader::field_value(At at, const FlatMember& member) {
  const Field& field = fields_[member.field];
  bool is_good = false;
  if (*at == '"') {
    std::string_view given;
    at = text(at, given);
    is_good = at != nullptr && in_.field_other(field, ValueType::kString, 0, given);
  } else if (*at == 't' || *at == 'f') {
    bool is_true = false;
    at = read_truth(at, is_true);
    is_good = at != nullptr && in_.field_other(field, ValueType::kBool, is_true ? 1 : 0, {});
  } else {
    JsonNumber number;
    at = read_any_number(at, number);
    is_good = at != nullptr && (number.is_integer ? in_.field_integer(field, number.integer)
                                                  : in_.field_real(field, number.real));
  }
  return is_good ? at : nullptr;
}

FlatReader::At FlatReader::reserved(At at, const FlatMember& member, Place place) {
  const std::uint32_t bit = 1U << static_cast<unsigned>(member.kind);
  // `metrics` beside `values` is one sample all the same, but not what a device sends.
  if (place != Place::kSample || (reserved_ & bit) != 0) return nullptr;
  reserved_ |= bit;
  Sample& sample = in_.into->samples.back();
  if (member.kind == FlatKind::kLifted) {
    const std::uint32_t before = last_;
    at = *at == '{' ? object(at, 0, Place::kLifted) : nullptr;
    last_ = before;
    return at;
  }
  if (member.kind == FlatKind::kBuffered && (*at == 't' || *at == 'f')) {
    return read_truth(at, sample.buffered);
  }
  if (member.kind == FlatKind::kTime && *at == '"') {
    std::string_view given;
    at = text(at, given);
    if (at != nullptr) sample.device_time_ms = parse_timestamp(given);
    return sample.device_time_ms ? at : nullptr;
  }
  return reserved_number(at, member.kind, sample);
}

FlatReader::At FlatReader::reserved_number(At at, FlatKind kind, Sample& sample) {
  JsonNumber number;
  at = read_number(at, number);
  if (at == nullptr) return nullptr;
  if (kind == FlatKind::kTime) {
    sample.device_time_ms = number.is_integer ? epoch_ms(number.integer) : epoch_ms(number.real);
    return sample.device_time_ms ? at : nullptr;
  }
  if (!number.is_integer || number.integer < 0) return nullptr;
  if (kind == FlatKind::kBuffered) {
    sample.buffered = number.integer == 1;
    return number.integer <= 1 ? at : nullptr;
  }
  sample.sequence = static_cast<std::uint64_t>(number.integer);
  return at;
}

}  // namespace sluice::validator
