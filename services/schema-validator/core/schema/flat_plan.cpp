#include "core/schema/flat_plan.h"

#include "core/schema/program.h"

#include <algorithm>

namespace sluice::validator {
namespace {

constexpr std::uint8_t kNumeric = kIntegerBit | kNumberBit;

FlatKind kind_of(const Field& field) {
  if (field.role == Role::kObject) return FlatKind::kObject;
  if (field.role != Role::kMetric || field.source || field.has_text_rules) return FlatKind::kField;
  const std::uint8_t types = field.types & kScalarBits & ~kNullBit;
  if (field.store == ValueType::kString && types == kStringBit) return FlatKind::kText;
  if (!field.allowed.empty()) return FlatKind::kField;
  if (field.store == ValueType::kDouble && (types & kNumberBit) != 0 && (types & ~kNumeric) == 0) {
    return FlatKind::kReal;
  }
  if (field.store == ValueType::kInt64 && types == kIntegerBit) return FlatKind::kInteger;
  if (field.store == ValueType::kBool && types == kBoolBit) return FlatKind::kTruth;
  return FlatKind::kField;
}

Reading reading_of(const Program& program, const Field& field) {
  const MetricInfo& metric = program.metrics[field.metric];
  return {.metric = metric.name,
          .unit = field.store == ValueType::kString ? std::string_view() : metric.unit,
          .type = field.store.value_or(ValueType::kDouble),
          .metric_id = field.metric,
          .metric_hash = program.metric_hashes[field.metric]};
}

/// Whether a payload spells the name as it is. Others have an escape there, and an escape is for
/// the general way.
bool is_spelled_plainly(std::string_view name) {
  return std::ranges::none_of(
      name, [](char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; });
}

}  // namespace

FlatKey::FlatKey(std::string_view name) : name_(name) {
  const std::size_t known = std::min(name.size(), kShort);
  std::ranges::copy(name.substr(0, known), bytes_);
  if (known < kShort) bytes_[known] = '"';
  mask_ = (1U << std::min(known + 1, kShort)) - 1;
}

FlatPlan::FlatPlan(const Program* program) {
  const std::size_t count = program == nullptr ? 1 : program->objects.size();
  for (std::size_t index = 0; index < count; ++index) {
    Object object{.first = static_cast<std::uint32_t>(members.size())};
    const auto has = [&](std::string_view name) {
      return std::any_of(members.begin() + object.first, members.end(),
                         [&](const FlatMember& each) { return each.key.name() == name; });
    };
    if (program != nullptr) {
      for (const std::uint32_t number : program->objects[index].fields) {
        const Field& field = program->fields[number];
        if (!is_spelled_plainly(field.key)) continue;
        FlatMember member{.key = FlatKey(field.key),
                          .kind = kind_of(field),
                          .field = number,
                          .object = field.object};
        if (field.role == Role::kMetric) member.reading = reading_of(*program, field);
        members.push_back(member);
      }
    }
    if (index == 0) {
      static constexpr std::pair<std::string_view, FlatKind> kReserved[] = {
          {"ts", FlatKind::kTime},
          {"seq", FlatKind::kSequence},
          {"buffered", FlatKind::kBuffered},
          {"metrics", FlatKind::kLifted},
          {"values", FlatKind::kLifted}};
      for (const auto& [name, kind] : kReserved) {
        if (kind == FlatKind::kLifted && program != nullptr && program->is_envelope) continue;
        if (!has(name)) members.push_back({.key = FlatKey(name), .kind = kind});
      }
    }
    object.count = static_cast<std::uint32_t>(members.size()) - object.first;
    objects.push_back(object);
  }
}

}  // namespace sluice::validator
