#include "values.h"

#include <algorithm>
#include <format>

#include <sluice/config/settings.h>

#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

/// JSON texts are what programs read: two blanks for people who look at them anyway.
std::string text_of(const Json& json) { return json.dump(2) + "\n"; }

std::string or_none(std::string text) { return text.empty() ? "none" : text; }

/// A bar would end the table's cell.
std::string cell(std::string_view text) {
  std::string out;
  for (char c : text) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

}  // namespace

std::string_view Settings::type_name(Kind kind) {
  switch (kind) {
    case Kind::kText:
      return "text";
    case Kind::kTextList:
      return "list of texts";
    case Kind::kInteger:
      return "whole number";
    case Kind::kNumber:
      return "number";
    case Kind::kBoolean:
      return "true or false";
    case Kind::kDuration:
      return "duration";
    case Kind::kBytes:
      return "size";
    case Kind::kListen:
      return "listen address";
    case Kind::kSecret:
      return "secret file";
  }
  return "";
}

std::string_view Settings::origin_name(Origin origin) {
  switch (origin) {
    case Origin::kDefault:
      return "default";
    case Origin::kFile:
      return "file";
    case Origin::kEnvironment:
      return "environment";
  }
  return "";
}

std::string Settings::to_json(Kind kind, const std::string& value) {
  switch (kind) {
    case Kind::kInteger:
    case Kind::kNumber:
    case Kind::kBoolean:
      return value;
    case Kind::kTextList:
      return Json(config_detail::read_list(value)).dump();
    default:
      return Json(value).dump(-1, ' ', false, Json::error_handler_t::replace);
  }
}

std::string Settings::print() const {
  std::string out;
  for (const Setting& setting : settings_) {
    // JSON's texts, numbers and lists are YAML's too.
    out += std::format("{}: {}  # from {}\n", setting.name, to_json(setting.kind, setting.show()),
                       setting.origin == Origin::kEnvironment ? environment_name(setting.name)
                                                              : origin_name(setting.origin));
  }
  return out;
}

std::string Settings::print_json() const {
  Json out = Json::object();
  for (const Setting& setting : settings_) {
    out[setting.name] = {{"value", Json::parse(to_json(setting.kind, setting.show()))},
                         {"source", origin_name(setting.origin)}};
  }
  return text_of(out);
}

std::string Settings::list_json() const {
  Json out = Json::array();
  for (const Setting& setting : settings_) {
    out.push_back({{"name", setting.name},
                   {"environment", environment_name(setting.name)},
                   {"type", type_name(setting.kind)},
                   {"default", Json::parse(to_json(setting.kind, setting.fallback))},
                   {"bounds", setting.bounds},
                   {"secret", setting.kind == Kind::kSecret},
                   {"help", setting.help}});
  }
  return text_of(out);
}

std::string Settings::help() const {
  std::string out;
  for (const Setting& setting : settings_) {
    out += std::format("  {} ({}{}{}; default {})\n      {}\n", setting.name,
                       type_name(setting.kind), setting.bounds.empty() ? "" : ", ", setting.bounds,
                       or_none(setting.fallback), setting.help);
  }
  return out;
}

std::string Settings::markdown() const {
  std::string out = "| setting | type | default | meaning |\n|---|---|---|---|\n";
  for (const Setting& setting : settings_) {
    const std::string fallback = setting.fallback.empty() ? "" : "`" + setting.fallback + "`";
    out += std::format("| `{}` | {}{}{} | {} | {} |\n", setting.name, type_name(setting.kind),
                       setting.bounds.empty() ? "" : ", ", cell(setting.bounds), cell(fallback),
                       cell(setting.help));
  }
  return out;
}

std::string Settings::json_schema() const {
  Json properties = Json::object();
  for (const Setting& setting : settings_) {
    Json schema = Json::parse(setting.schema);
    if (!setting.fallback.empty()) {
      schema["default"] = Json::parse(to_json(setting.kind, setting.fallback));
    }
    schema["description"] = setting.help;
    properties[setting.name] = std::move(schema);
  }
  const Json out = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                    {"title", "Settings"},
                    {"type", "object"},
                    {"additionalProperties", false},
                    {"properties", std::move(properties)}};
  return text_of(out);
}

}  // namespace sluice
