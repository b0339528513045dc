#include "media_type.h"

#include <algorithm>
#include <optional>

#include <sluice/http_semantics/field_text.h>

namespace sluice::http {
namespace {

/// Takes what is before `separator` off the front.
std::string_view take_part(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return trim(part);
}

/// "text/plain; charset=utf-8" -> "text/plain"
std::string_view type_of(std::string_view media_type) { return take_part(media_type, ';'); }

/// How closely a range names a type: 3 exactly, 2 by "type/*", 1 by "*/*", 0 not at all.
int closeness(std::string_view range, std::string_view type) {
  if (equal_ignoring_case(range, type)) return 3;
  if (range == "*/*") return 1;
  if (!range.ends_with("/*")) return 0;
  const std::string_view main_type = range.substr(0, range.size() - 1);
  return equal_ignoring_case(type.substr(0, main_type.size()), main_type) ? 2 : 0;
}

/// Whether the parameters of a range say q=0.
bool says_no(std::string_view parameters) {
  while (!parameters.empty()) {
    std::string_view value = take_part(parameters, ';');
    const std::string_view name = take_part(value, '=');
    if (!equal_ignoring_case(name, "q")) continue;
    value = trim(value);
    return value.starts_with('0') &&
           std::ranges::all_of(value, [](char c) { return c == '0' || c == '.'; });
  }
  return false;
}

bool is_type_acceptable(std::string_view accept, std::string_view type) {
  int best = 0;
  bool is_allowed = false;
  while (!accept.empty()) {
    std::string_view parameters = take_part(accept, ',');
    const std::string_view range = take_part(parameters, ';');
    const int found = closeness(range, type);
    if (found == 0 || found < best) continue;
    best = found;
    is_allowed = !says_no(parameters);
  }
  return is_allowed;
}

}  // namespace

bool is_media_type_one_of(std::string_view content_type, const std::vector<std::string>& accepted) {
  const std::string_view type = take_part(content_type, ';');
  while (!content_type.empty()) {
    std::string_view value = take_part(content_type, ';');
    const std::string_view name = take_part(value, '=');
    if (name.empty()) continue;
    if (value.starts_with('"') && value.ends_with('"') && value.size() >= 2) {
      value = value.substr(1, value.size() - 2);
    }
    if (!equal_ignoring_case(name, "charset") || !equal_ignoring_case(value, "utf-8")) return false;
  }
  return std::ranges::any_of(
      accepted, [&](const std::string& each) { return equal_ignoring_case(type, each); });
}

bool is_acceptable(std::string_view accept, const std::vector<std::string>& produced) {
  if (trim(accept).empty() || produced.empty()) return true;
  return std::ranges::any_of(
      produced, [&](const std::string& each) { return is_type_acceptable(accept, type_of(each)); });
}

}  // namespace sluice::http
