#include <sluice/http/json_reader.h>

#include <algorithm>
#include <cmath>
#include <format>

#include <sluice/base/ids.h>
#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::http {
namespace {

using nlohmann::json;

std::string list_of(const std::vector<std::string>& values) {
  std::string out;
  for (const std::string& value : values) {
    if (!out.empty()) out += ", ";
    out += value;
  }
  return out;
}

/// What is wrong with a text; empty when nothing is.
std::string text_fault(std::string_view text, const JsonReader::TextRule& rule) {
  if (text.empty() && rule.min_size > 0) return "must not be empty";
  if (text.size() < rule.min_size) return std::format("must have at least {} bytes", rule.min_size);
  if (text.size() > rule.max_size) return std::format("must have at most {} bytes", rule.max_size);
  // A NUL ends texts early in PostgreSQL and in C; nothing needs one.
  if (text.find('\0') != std::string_view::npos) return "must not contain a NUL character";
  if (!rule.one_of.empty() && std::ranges::find(rule.one_of, text) == rule.one_of.end()) {
    return "must be one of " + list_of(rule.one_of);
  }
  return "";
}

std::string count_fault(std::size_t count, const JsonReader::ListRule& rule) {
  if (count < rule.min_items) return std::format("must have at least {} items", rule.min_items);
  if (count > rule.max_items) return std::format("must have at most {} items", rule.max_items);
  return "";
}

}  // namespace

JsonReader::JsonReader(const json& object, std::string pointer)
    : object_(object), pointer_(std::move(pointer)), faults_(&own_faults_) {
  if (!object_.is_object()) add_fault(pointer_, "must be an object");
}

JsonReader::JsonReader(const json& object, std::string pointer, std::vector<FieldFault>* faults)
    : object_(object), pointer_(std::move(pointer)), faults_(faults) {
  if (!object_.is_object()) add_fault(pointer_, "must be an object");
}

std::string JsonReader::pointer_to(std::string_view name) const {
  return json_pointer(pointer_, name);
}

void JsonReader::add_fault(std::string pointer, std::string message) {
  if (faults_->size() < kMaxFaults) faults_->push_back({std::move(pointer), std::move(message)});
}

void JsonReader::fault(std::string_view name, std::string message) {
  add_fault(pointer_to(name), std::move(message));
}

void JsonReader::fault(std::string message) { add_fault(pointer_, std::move(message)); }

const json* JsonReader::take(std::string_view name, bool is_required) {
  asked_.emplace(name);
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(name);
  if (found == object_.end()) {
    if (is_required) fault(name, "is required");
    return nullptr;
  }
  return &*found;
}

bool JsonReader::has(std::string_view name) const {
  return object_.is_object() && object_.contains(name);
}

bool JsonReader::is_null(std::string_view name) {
  const json* value = take(name, false);
  return value != nullptr && value->is_null();
}

const json* JsonReader::any(std::string_view name) { return take(name, false); }

std::optional<std::string> JsonReader::read_text(const json& value, const std::string& pointer,
                                                 const TextRule& rule) {
  if (!value.is_string()) {
    add_fault(pointer, "must be a text");
    return std::nullopt;
  }
  const std::string& text = value.get_ref<const std::string&>();
  if (std::string message = text_fault(text, rule); !message.empty()) {
    add_fault(pointer, std::move(message));
    return std::nullopt;
  }
  return text;
}

std::optional<std::string> JsonReader::text_at(std::string_view name, bool is_required,
                                               const TextRule& rule) {
  const json* value = take(name, is_required);
  return value == nullptr ? std::nullopt : read_text(*value, pointer_to(name), rule);
}

std::string JsonReader::text(std::string_view name, TextRule rule) {
  return text_at(name, true, rule).value_or("");
}

std::optional<std::string> JsonReader::optional_text(std::string_view name, TextRule rule) {
  return text_at(name, false, rule);
}

std::optional<std::string> JsonReader::id_at(std::string_view name, bool is_required) {
  const json* value = take(name, is_required);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    fault(name, "must be a text");
    return std::nullopt;
  }
  const std::string& text = value->get_ref<const std::string&>();
  if (auto checked = check_id(text, pointer_to(name)); !checked) {
    if (checked.error().faults().empty()) fault(name, checked.error().message());
    for (const FieldFault& found : checked.error().faults()) add_fault(found.field, found.message);
    return std::nullopt;
  }
  return text;
}

std::string JsonReader::id(std::string_view name) { return id_at(name, true).value_or(""); }

std::optional<std::string> JsonReader::optional_id(std::string_view name) {
  return id_at(name, false);
}

std::optional<std::int64_t> JsonReader::integer_at(std::string_view name, bool is_required,
                                                   const IntegerRule& rule) {
  const json* value = take(name, is_required);
  if (value == nullptr) return std::nullopt;
  const bool is_too_large =
      value->is_number_unsigned() &&
      value->get<std::uint64_t>() >
          static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!value->is_number_integer() || is_too_large) {
    fault(name, "must be a whole number of at most 64 bits");
    return std::nullopt;
  }
  const auto number = value->get<std::int64_t>();
  if (number < rule.min || number > rule.max) {
    fault(name, rule.max == std::numeric_limits<std::int64_t>::max()
                    ? std::format("must be at least {}", rule.min)
                    : std::format("must be from {} to {}", rule.min, rule.max));
    return std::nullopt;
  }
  return number;
}

std::int64_t JsonReader::integer(std::string_view name, IntegerRule rule) {
  return integer_at(name, true, rule).value_or(rule.min);
}

std::optional<std::int64_t> JsonReader::optional_integer(std::string_view name, IntegerRule rule) {
  return integer_at(name, false, rule);
}

std::optional<double> JsonReader::number_at(std::string_view name, bool is_required,
                                            const NumberRule& rule) {
  const json* value = take(name, is_required);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    fault(name, "must be a number");
    return std::nullopt;
  }
  const auto number = value->get<double>();
  if (!std::isfinite(number) || number < rule.min || number > rule.max) {
    fault(name, std::format("must be from {} to {}", rule.min, rule.max));
    return std::nullopt;
  }
  return number;
}

double JsonReader::number(std::string_view name, NumberRule rule) {
  return number_at(name, true, rule).value_or(std::max(rule.min, 0.0));
}

std::optional<double> JsonReader::optional_number(std::string_view name, NumberRule rule) {
  return number_at(name, false, rule);
}

std::optional<bool> JsonReader::boolean_at(std::string_view name, bool is_required) {
  const json* value = take(name, is_required);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) {
    fault(name, "must be true or false");
    return std::nullopt;
  }
  return value->get<bool>();
}

bool JsonReader::boolean(std::string_view name) { return boolean_at(name, true).value_or(false); }

std::optional<bool> JsonReader::optional_boolean(std::string_view name) {
  return boolean_at(name, false);
}

std::optional<WallTime> JsonReader::time_at(std::string_view name, bool is_required) {
  // RFC 3339 with nanoseconds and offset has 35 characters.
  const auto text = text_at(name, is_required, {.min_size = 1, .max_size = 64, .one_of = {}});
  if (!text) return std::nullopt;
  auto time = parse_rfc3339(*text);
  if (!time) {
    fault(name, "must be a time such as 2026-01-31T12:00:00Z");
    return std::nullopt;
  }
  return *time;
}

WallTime JsonReader::time(std::string_view name) {
  return time_at(name, true).value_or(WallTime{});
}

std::optional<WallTime> JsonReader::optional_time(std::string_view name) {
  return time_at(name, false);
}

std::optional<std::vector<std::string>> JsonReader::text_list_at(std::string_view name,
                                                                 bool is_required,
                                                                 const ListRule& list,
                                                                 const TextRule& item) {
  const json* value = take(name, is_required);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) {
    fault(name, "must be a list");
    return std::nullopt;
  }
  if (std::string message = count_fault(value->size(), list); !message.empty()) {
    fault(name, std::move(message));
    return std::nullopt;
  }
  std::vector<std::string> out;
  for (std::size_t i = 0; i < value->size(); ++i) {
    auto text = read_text((*value)[i], json_pointer(pointer_to(name), i), item);
    if (text) out.push_back(*std::move(text));
  }
  return out;
}

std::vector<std::string> JsonReader::text_list(std::string_view name, ListRule list,
                                               TextRule item) {
  return text_list_at(name, true, list, item).value_or(std::vector<std::string>{});
}

std::optional<std::vector<std::string>> JsonReader::optional_text_list(std::string_view name,
                                                                       ListRule list,
                                                                       TextRule item) {
  return text_list_at(name, false, list, item);
}

std::optional<std::map<std::string, std::string>> JsonReader::optional_text_map(
    std::string_view name, ListRule list, TextRule key, TextRule value_rule) {
  const json* value = take(name, false);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) {
    fault(name, "must be an object");
    return std::nullopt;
  }
  if (std::string message = count_fault(value->size(), list); !message.empty()) {
    fault(name, std::move(message));
    return std::nullopt;
  }
  const JsonReader inner(*value, pointer_to(name), faults_);  // for its pointers alone
  std::map<std::string, std::string> out;
  for (const auto& [member, text] : value->items()) {
    const std::string pointer = inner.pointer_to(member);
    if (std::string message = text_fault(member, key); !message.empty()) {
      add_fault(pointer, "its name " + message);
      continue;
    }
    if (auto read = read_text(text, pointer, value_rule)) out.emplace(member, *std::move(read));
  }
  return out;
}

bool JsonReader::object_at(std::string_view name, bool is_required, const Nested& read) {
  const json* value = take(name, is_required);
  if (value == nullptr) return false;
  JsonReader inner(*value, pointer_to(name), faults_);
  if (!value->is_object()) return false;  // the fault is noted by the line above
  read(inner);
  inner.check_unknown();
  return true;
}

void JsonReader::object(std::string_view name, const Nested& read) { object_at(name, true, read); }

bool JsonReader::optional_object(std::string_view name, const Nested& read) {
  return object_at(name, false, read);
}

void JsonReader::objects(std::string_view name, ListRule rule, const Nested& read_each) {
  const json* value = take(name, true);
  if (value == nullptr) return;
  if (!value->is_array()) return fault(name, "must be a list");
  if (std::string message = count_fault(value->size(), rule); !message.empty()) {
    return fault(name, std::move(message));
  }
  for (std::size_t i = 0; i < value->size(); ++i) {
    const json& item = (*value)[i];
    JsonReader inner(item, json_pointer(pointer_to(name), i), faults_);
    if (!item.is_object()) continue;
    read_each(inner);
    inner.check_unknown();
  }
}

void JsonReader::check_unknown() {
  if (!object_.is_object()) return;
  for (const auto& [name, value] : object_.items()) {
    if (!asked_.contains(name)) fault(name, "is not known");
  }
}

Result<> JsonReader::finish() {
  check_unknown();
  if (faults_->empty()) return {};
  return fail(Error(ErrorCode::kInvalidArgument, "the body has faults").with_faults(*faults_));
}

}  // namespace sluice::http
