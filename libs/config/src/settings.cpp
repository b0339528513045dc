#include <sluice/config/settings.h>

#include "values.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <format>
#include <fstream>

#include <sluice/base/check.h>

#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using config_detail::check_printable;
using config_detail::quote;
using config_detail::write;
using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

constexpr std::string_view kDurationPattern = "^[0-9]+(ms|s|m|h|d)$";
constexpr std::string_view kBytesPattern = "^[0-9]+(B|KiB|MiB|GiB|TiB)?$";
constexpr std::string_view kListenPattern = "^(\\[[0-9A-Fa-f:.]+\\]|[0-9A-Za-z.-]+):[0-9]+$";

std::unexpected<Error> refuse(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

/// "10ms to 1m", "at least 10ms", or nothing where the type's own ends are the bounds.
template <typename T>
std::string range_text(T min, T max, T open_min, T open_max) {
  if (min == open_min && max == open_max) return "";
  if (max == open_max) return "at least " + write(min);
  return write(min) + " to " + write(max);
}

/// Reads, checks and assigns a value of an ordered type.
template <typename T>
std::function<Result<>(std::string_view)> bounded(T* field, T min, T max,
                                                  Result<T> (*read)(std::string_view)) {
  return [=](std::string_view text) -> Result<> {
    SLUICE_TRY_ASSIGN(const T value, read(text));
    if (value < min) return refuse(std::format("{} is less than {}", quote(text), write(min)));
    if (value > max) return refuse(std::format("{} is more than {}", quote(text), write(max)));
    *field = value;
    return {};
  };
}

Result<> check_text(std::string_view text, const Settings::TextRule& rule) {
  if (text.size() > rule.max_size) {
    return refuse(std::format("is longer than {} bytes", rule.max_size));
  }
  SLUICE_TRY(check_printable(text));
  if (!rule.one_of.empty() && !text.empty() && !std::ranges::contains(rule.one_of, text)) {
    const std::string near = config_detail::closest(text, rule.one_of);
    return refuse(std::format("{} is none of {}{}", quote(text), write(rule.one_of),
                              near.empty() ? "" : "; did you mean " + near + "?"));
  }
  return {};
}

std::string rule_text(const Settings::TextRule& rule) {
  std::string out = rule.required ? "required" : "";
  if (rule.one_of.empty()) return out;
  out += out.empty() ? "one of " : ", one of ";
  for (std::size_t i = 0; i < rule.one_of.size(); ++i) out += (i > 0 ? ", " : "") + rule.one_of[i];
  return out;
}

Json text_schema(const Settings::TextRule& rule, bool may_be_empty) {
  Json schema = {{"type", "string"}, {"maxLength", rule.max_size}};
  if (rule.one_of.empty()) {
    if (!may_be_empty) schema["minLength"] = 1;
    return schema;
  }
  schema["enum"] = rule.one_of;
  if (may_be_empty && !std::ranges::contains(rule.one_of, "")) schema["enum"].push_back("");
  return schema;
}

/// The content of a secret's file. Messages leave the path out: a secret put in the place of its
/// file's name, the likeliest mistake, must not be shown.
Result<Secret> read_secret(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return refuse(std::format("names a file that cannot be opened: {}", std::strerror(errno)));
  }
  std::string content(kMaxSecretSize + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  const auto size = static_cast<std::size_t>(file.gcount());
  Secret whole(std::move(content));  // wiped on every way out
  if (file.bad() || (size == 0 && !file.eof())) return refuse("names a file that cannot be read");
  if (size > kMaxSecretSize) {
    return refuse(std::format("names a file larger than {} KiB", kMaxSecretSize / 1024));
  }
  std::string_view text = std::string_view(whole.reveal()).substr(0, size);
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (text.empty()) return refuse("names an empty file");
  return Secret(std::string(text));
}

bool is_setting_name(std::string_view name) {
  return !name.empty() && name.front() >= 'a' && name.front() <= 'z' &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

}  // namespace

void Settings::text(std::string_view name, std::string* field, std::string_view fallback,
                    TextRule rule, std::string_view help) {
  *field = fallback;
  add({.name = std::string(name),
       .kind = Kind::kText,
       .fallback = std::string(fallback),
       .bounds = rule_text(rule),
       .help = std::string(help),
       .schema = text_schema(rule, !rule.required).dump(),
       .read = [field, rule](std::string_view text) -> Result<> {
         if (rule.required && text.empty()) return refuse("must not be empty");
         SLUICE_TRY(check_text(text, rule));
         *field = text;
         return {};
       },
       .show = [field] { return *field; }});
}

void Settings::text_list(std::string_view name, std::vector<std::string>* field,
                         std::vector<std::string> fallback, TextRule rule, std::string_view help) {
  *field = fallback;
  Json schema = {{"type", "array"}, {"items", text_schema(rule, false)}};
  if (rule.required) schema["minItems"] = 1;
  add({.name = std::string(name),
       .kind = Kind::kTextList,
       .fallback = write(fallback),
       .bounds = rule_text(rule),
       .help = std::string(help),
       .schema = schema.dump(),
       .read = [field, rule](std::string_view text) -> Result<> {
         std::vector<std::string> items = config_detail::read_list(text);
         if (rule.required && items.empty()) return refuse("must not be empty");
         for (const std::string& item : items) {
           if (item.empty()) return refuse("has an empty item");
           SLUICE_TRY(check_text(item, rule));
         }
         *field = std::move(items);
         return {};
       },
       .show = [field] { return write(*field); }});
}

void Settings::integer(std::string_view name, std::int64_t* field, std::int64_t fallback,
                       IntegerBounds bounds, std::string_view help) {
  *field = fallback;
  Json schema = {{"type", "integer"}, {"minimum", bounds.min}};
  if (bounds.max != IntegerBounds{}.max) schema["maximum"] = bounds.max;
  add({.name = std::string(name),
       .kind = Kind::kInteger,
       .fallback = write(fallback),
       .bounds = range_text(bounds.min, bounds.max, std::numeric_limits<std::int64_t>::min(),
                            IntegerBounds{}.max),
       .help = std::string(help),
       .schema = schema.dump(),
       .read = bounded(field, bounds.min, bounds.max, config_detail::read_integer),
       .show = [field] { return write(*field); }});
}

void Settings::number(std::string_view name, double* field, double fallback, NumberBounds bounds,
                      std::string_view help) {
  *field = fallback;
  Json schema = {{"type", "number"}, {"minimum", bounds.min}};
  if (bounds.max != NumberBounds{}.max) schema["maximum"] = bounds.max;
  add({.name = std::string(name),
       .kind = Kind::kNumber,
       .fallback = write(fallback),
       .bounds = range_text(bounds.min, bounds.max, std::numeric_limits<double>::lowest(),
                            NumberBounds{}.max),
       .help = std::string(help),
       .schema = schema.dump(),
       .read = bounded(field, bounds.min, bounds.max, config_detail::read_number),
       .show = [field] { return write(*field); }});
}

void Settings::boolean(std::string_view name, bool* field, bool fallback, std::string_view help) {
  *field = fallback;
  add({.name = std::string(name),
       .kind = Kind::kBoolean,
       .fallback = write(fallback),
       .bounds = "",
       .help = std::string(help),
       .schema = R"({"type":"boolean"})",
       .read = [field](std::string_view text) -> Result<> {
         SLUICE_TRY_ASSIGN(*field, config_detail::read_boolean(text));
         return {};
       },
       .show = [field] { return write(*field); }});
}

void Settings::duration(std::string_view name, milliseconds* field, milliseconds fallback,
                        DurationBounds bounds, std::string_view help) {
  SLUICE_CHECK(bounds.min.count() >= 0);
  *field = fallback;
  add({.name = std::string(name),
       .kind = Kind::kDuration,
       .fallback = write(fallback),
       .bounds = range_text(bounds.min, bounds.max, DurationBounds{}.min, DurationBounds{}.max),
       .help = std::string(help),
       .schema = Json{{"type", "string"}, {"pattern", kDurationPattern}}.dump(),
       .read = bounded(field, bounds.min, bounds.max, config_detail::read_duration),
       .show = [field] { return write(*field); }});
}

void Settings::bytes(std::string_view name, Bytes* field, Bytes fallback, BytesBounds bounds,
                     std::string_view help) {
  *field = fallback;
  add({.name = std::string(name),
       .kind = Kind::kBytes,
       .fallback = write(fallback),
       .bounds = range_text(bounds.min, bounds.max, BytesBounds{}.min, BytesBounds{}.max),
       .help = std::string(help),
       .schema =
           Json{{"type", {"string", "integer"}}, {"pattern", kBytesPattern}, {"minimum", 0}}.dump(),
       .read = bounded(field, bounds.min, bounds.max, config_detail::read_bytes),
       .show = [field] { return write(*field); }});
}

void Settings::listen_address(std::string_view name, std::string* field, std::string_view fallback,
                              std::string_view help) {
  *field = fallback;
  const bool may_be_empty = fallback.empty();
  Json schema = {{"type", "string"}, {"pattern", kListenPattern}};
  if (may_be_empty) schema["pattern"] = std::string(kListenPattern) + "|^$";
  add({.name = std::string(name),
       .kind = Kind::kListen,
       .fallback = std::string(fallback),
       .bounds = "",
       .help = std::string(help),
       .schema = schema.dump(),
       .read = [field, may_be_empty](std::string_view text) -> Result<> {
         if (!text.empty() || !may_be_empty) SLUICE_TRY(config_detail::check_listen_address(text));
         *field = text;
         return {};
       },
       .show = [field] { return *field; }});
}

void Settings::secret_file(std::string_view name, Secret* field, bool required,
                           std::string_view help) {
  *field = Secret();
  Json schema = {{"type", "string"}};
  if (required) schema["minLength"] = 1;
  add({.name = std::string(name),
       .kind = Kind::kSecret,
       .fallback = "",
       .bounds = required ? "required" : "",
       .help = std::string(help),
       .schema = schema.dump(),
       .read = [field, required](std::string_view path) -> Result<> {
         if (path.empty() && required) return refuse("must name a file");
         Secret value;
         if (!path.empty()) {
           SLUICE_TRY_ASSIGN(value, read_secret(std::string(path)));
         }
         *field = std::move(value);
         return {};
       },
       .show = [field] { return std::string(field->empty() ? "" : "******"); }});
}

void Settings::rule(std::function<std::vector<FieldFault>()> check) {
  rules_.push_back(std::move(check));
}

std::vector<std::string> Settings::names() const {
  std::vector<std::string> out;
  for (const Setting& setting : settings_) out.push_back(setting.name);
  return out;
}

void Settings::add(Setting setting) {
  SLUICE_CHECK(is_setting_name(setting.name));
  SLUICE_CHECK(!setting.help.empty());
  SLUICE_CHECK(find(setting.name) == nullptr);
  // An empty default of what is required is how "must be set" is declared; all others must be good.
  SLUICE_CHECK(setting.fallback.empty() || setting.read(setting.fallback));
  settings_.push_back(std::move(setting));
}

Settings::Setting* Settings::find(std::string_view name) {
  const auto it = std::ranges::find(settings_, name, &Setting::name);
  return it == settings_.end() ? nullptr : &*it;
}

}  // namespace sluice
