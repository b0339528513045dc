// Rules of objects and arrays.
#include "core/schema/rules_evaluation.h"

namespace sluice::validator {

bool Evaluation::object(const Rule& rule, std::uint32_t at, Marks* marks) {
  const Tape::Node& node = tape_[at];
  if (node.count < rule.min_properties) return broken("fewer members than required");
  if (node.count > rule.max_properties) return broken("more members than allowed");
  for (const std::string& key : rule.required) {
    if (!has_member(at, key)) return broken("lacks the member \"" + key + "\"");
  }
  for (const auto& [key, others] : rule.dependent_required) {
    if (!has_member(at, key)) continue;
    for (const std::string& other : others) {
      if (!has_member(at, other)) return broken("has \"" + key + "\" without \"" + other + "\"");
    }
  }
  for (const auto& [key, schema] : rule.dependent_schemas) {
    if (has_member(at, key) && !obeys(schema, at, marks)) return false;
  }
  return members(rule, at, marks);
}

bool Evaluation::members(const Rule& rule, std::uint32_t at, Marks* marks) {
  if (rule.properties.empty() && rule.pattern_properties.empty() && !rule.additional_properties &&
      !rule.property_names) {
    return true;
  }
  std::size_t place = 0;
  for (auto i = tape_[at].first; i != Tape::kNone; i = tape_[i].next, ++place) {
    if (!step()) return false;
    const std::string key(tape_.key_of(tape_[i]));
    bool is_known = false;
    if (rule.property_names) {
      Tape name;
      name.add_string(key);
      Evaluation names(all_, name, steps_);
      names.quiet_ = 1;
      const bool is_good = names.obeys(*rule.property_names, 0, nullptr);
      steps_ = names.steps_;
      is_out_ |= names.is_out_;
      if (!is_good) return broken("a member's name that is not allowed: " + key);
    }
    if (const auto found = rule.properties.find(key); found != rule.properties.end()) {
      is_known = true;
      if (!child(found->second, i, 0, false)) return false;
    }
    for (const auto& [pattern, schema] : rule.pattern_properties) {
      if (!step()) return false;
      if (!matches(*pattern, key)) continue;
      is_known = true;
      if (!child(schema, i, 0, false)) return false;
    }
    if (!is_known && rule.additional_properties) {
      is_known = true;
      if (!child(*rule.additional_properties, i, 0, false)) return false;
    }
    if (is_known && marks != nullptr) (*marks)[place] = 1;
  }
  return true;
}

bool Evaluation::is_unique(std::uint32_t at) {
  for (auto i = tape_[at].first; i != Tape::kNone; i = tape_[i].next) {
    for (auto j = tape_[i].next; j != Tape::kNone; j = tape_[j].next) {
      if (is_equal(tape_, i, tape_, j)) return false;
    }
  }
  return true;
}

bool Evaluation::array(const Rule& rule, std::uint32_t at, Marks* marks) {
  const Tape::Node& node = tape_[at];
  if (node.count < rule.min_items) return broken("fewer items than required");
  if (node.count > rule.max_items) return broken("more items than allowed");
  if (rule.has_unique_items && !is_unique(at)) return broken("two items are the same");
  std::uint32_t place = 0;
  std::size_t contained = 0;
  for (auto i = node.first; i != Tape::kNone; i = tape_[i].next, ++place) {
    if (place < rule.prefix_items.size()) {
      if (!child(rule.prefix_items[place], i, place, true)) return false;
    } else if (rule.items) {
      if (!child(*rule.items, i, place, true)) return false;
    }
    bool is_looked_at = place < rule.prefix_items.size() || rule.items.has_value();
    if (rule.contains && silently(*rule.contains, i, nullptr)) {
      ++contained;
      is_looked_at = true;
    }
    if (is_looked_at && marks != nullptr) (*marks)[place] = 1;
  }
  if (rule.contains && contained < rule.min_contains)
    return broken("lacks an item it must contain");
  if (rule.contains && contained > rule.max_contains) return broken("contains an item too often");
  return true;
}

bool Evaluation::left_over(const Rule& rule, std::uint32_t at, Marks* marks) {
  if (marks == nullptr) return true;
  const Tape::Node& node = tape_[at];
  const bool is_object = node.type == JsonType::kObject;
  const auto& schema = is_object ? rule.unevaluated_properties : rule.unevaluated_items;
  if (!schema || (!is_object && node.type != JsonType::kArray)) return true;
  std::uint32_t place = 0;
  for (auto i = node.first; i != Tape::kNone; i = tape_[i].next, ++place) {
    if ((*marks)[place] != 0) continue;
    if (!child(*schema, i, place, !is_object)) return false;
    (*marks)[place] = 1;
  }
  return true;
}

}  // namespace sluice::validator
