#include <sluice/http/openapi.h>

#include "openapi_schema.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <format>
#include <set>

#include <sluice/base/check.h>
#include <sluice/http/problem.h>
#include <sluice/json/json.h>

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

namespace sluice::http {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 5> kMethods{"get", "post", "put", "patch", "delete"};
// Deeper than any description; against a file that refers to itself by an alias.
constexpr int kMaxYamlDepth = 64;

/// What a plain YAML scalar means by the core schema; a quoted one is always a text.
json scalar_value(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;
  if (text.empty() || text == "~" || text == "null") return nullptr;
  if (text == "true") return true;
  if (text == "false") return false;
  const char* const end = text.data() + text.size();
  std::int64_t integer = 0;
  if (const auto [at, error] = std::from_chars(text.data(), end, integer);
      error == std::errc{} && at == end) {
    return integer;
  }
  double number = 0;
  if (const auto [at, error] = std::from_chars(text.data(), end, number);
      error == std::errc{} && at == end) {
    return number;
  }
  return text;
}

Result<json> to_json(const YAML::Node& node, int depth) {
  if (depth > kMaxYamlDepth) return fail(ErrorCode::kInvalidArgument, "nested too deeply");
  switch (node.Type()) {
    case YAML::NodeType::Undefined:
    case YAML::NodeType::Null:
      return json(nullptr);
    case YAML::NodeType::Scalar:
      return scalar_value(node);
    case YAML::NodeType::Sequence: {
      json out = json::array();
      for (const YAML::Node& item : node) {
        SLUICE_TRY_ASSIGN(auto value, to_json(item, depth + 1));
        out.push_back(std::move(value));
      }
      return out;
    }
    case YAML::NodeType::Map: {
      json out = json::object();
      for (const auto& member : node) {
        const std::string name = member.first.Scalar();
        if (out.contains(name)) return fail(ErrorCode::kInvalidArgument, name + " is there twice");
        SLUICE_TRY_ASSIGN(auto value, to_json(member.second, depth + 1));
        out[name] = std::move(value);
      }
      return out;
    }
  }
  return fail(ErrorCode::kInvalidArgument, "unknown kind of node");
}

Result<json> read_description(std::string_view text) {
  if (text.substr(text.find_first_not_of(" \t\r\n") == std::string_view::npos
                      ? 0
                      : text.find_first_not_of(" \t\r\n"))
          .starts_with('{')) {
    return parse_json(text);
  }
  try {
    return to_json(YAML::Load(std::string(text)), 0);
  } catch (const YAML::Exception& e) {
    return fail(ErrorCode::kInvalidArgument, e.what());
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return out;
}

/// The names in the braces of a path template.
std::set<std::string> names_in(std::string_view path) {
  std::set<std::string> out;
  for (std::size_t open = path.find('{'); open != std::string_view::npos;
       open = path.find('{', open)) {
    const std::size_t close = path.find('}', open);
    if (close == std::string_view::npos) break;
    out.emplace(path.substr(open + 1, close - open - 1));
    open = close;
  }
  return out;
}

bool is_description(std::string_view path) {
  return path == "/openapi.json" || path == "/openapi.yaml";
}

}  // namespace

struct OpenApi::Impl {
  json document;
  std::string json_text;
  std::string yaml_text;  // as written, or the JSON, which is YAML as well

  /// The operation, or null.
  const json* operation(std::string_view method, std::string_view path) const {
    const auto item = document["paths"].find(path);
    if (item == document["paths"].end() || !item->is_object()) return nullptr;
    const auto found = item->find(lower(method));
    return found == item->end() ? nullptr : &*found;
  }

  /// Names of the path parameters that an operation declares, on itself or on its path.
  std::set<std::string> declared_parameters(std::string_view path, const json& operation) const {
    std::set<std::string> out;
    for (const json* holder : {&document["paths"][std::string(path)], &operation}) {
      const auto list = holder->find("parameters");
      if (list == holder->end() || !list->is_array()) continue;
      for (const json& each : *list) {
        const json* parameter = follow_reference(document, each);
        if (parameter != nullptr && parameter->value("in", "") == "path") {
          out.insert(parameter->value("name", ""));
        }
      }
    }
    return out;
  }

  /// The description of an answer: by status, by its class, or the default. Null when there is
  /// none.
  const json* answer(const json& operation, int status) const {
    const auto answers = operation.find("responses");
    if (answers == operation.end() || !answers->is_object()) return nullptr;
    for (const std::string& key :
         {std::to_string(status), std::format("{}XX", status / 100), std::string("default")}) {
      const auto found = answers->find(key);
      if (found != answers->end()) return follow_reference(document, *found);
    }
    return nullptr;
  }

  bool has_problem(const json& operation) const {
    const auto answers = operation.find("responses");
    if (answers == operation.end() || !answers->is_object()) return false;
    return std::ranges::any_of(answers->items(), [&](const auto& entry) {
      const std::string& status = entry.key();
      const json* described = follow_reference(document, entry.value());
      return (status.starts_with('4') || status == "default") && described != nullptr &&
             described->contains("content") && (*described)["content"].contains(kProblemType);
    });
  }

  void compare(const Route& route, std::vector<std::string>& out) const {
    const std::string name = route.method + " " + route.path;
    const json* found = operation(route.method, route.path);
    if (found == nullptr) {
      out.push_back(name + " is a route but not described");
      return;
    }
    const std::string role = found->value("x-required-role", "");
    if (role != route.access.name()) {
      out.push_back(std::format("{}: x-required-role is '{}', the route needs '{}'", name, role,
                                route.access.name()));
    }
    const auto declared = declared_parameters(route.path, *found);
    for (const std::string& each : names_in(route.path)) {
      if (!declared.contains(each)) {
        out.push_back(std::format("{}: path parameter {} is not described", name, each));
      }
    }
    for (const std::string& each : declared) {
      if (!names_in(route.path).contains(each)) {
        out.push_back(
            std::format("{}: path parameter {} is described but not in the path", name, each));
      }
    }
    if (route.is_write() && !has_problem(*found)) {
      out.push_back(
          std::format("{}: no answer from 400 on is described as {}", name, kProblemType));
    }
  }
};

OpenApi::OpenApi(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OpenApi::~OpenApi() = default;
OpenApi::OpenApi(OpenApi&&) noexcept = default;
OpenApi& OpenApi::operator=(OpenApi&&) noexcept = default;

Result<OpenApi> OpenApi::parse(std::string_view text) {
  auto document = read_description(text);
  if (!document) return fail(std::move(document).error().context("OpenAPI description"));
  const bool is_openapi = document->is_object() && document->contains("openapi") &&
                          document->contains("paths") && (*document)["paths"].is_object();
  if (!is_openapi) {
    return fail(ErrorCode::kInvalidArgument,
                "OpenAPI description: needs the members openapi and paths");
  }
  auto impl = std::make_unique<Impl>();
  impl->document = *std::move(document);
  impl->json_text = to_json_text(impl->document);
  impl->yaml_text = text;
  return OpenApi(std::move(impl));
}

void OpenApi::serve(Router& router) const {
  const auto add = [&](const std::string& path, const std::string& type, const std::string& text) {
    RouteOptions options;
    options.produces = {type};
    router.get(
        path, Access::open(), [type, text](const Request&) { return Response::bytes(type, text); },
        options);
  };
  add("/openapi.json", "application/json", impl_->json_text);
  add("/openapi.yaml", "application/yaml", impl_->yaml_text);
}

std::vector<std::string> OpenApi::differences(const Router& router) const {
  std::vector<std::string> out;
  std::set<std::pair<std::string, std::string>> known;
  for (const auto& route : router.routes()) {
    known.emplace(lower(route->method), route->path);
    if (!is_description(route->path)) impl_->compare(*route, out);
  }
  for (const auto& [path, item] : impl_->document["paths"].items()) {
    if (is_description(path)) continue;
    for (const std::string_view method : kMethods) {
      if (item.is_object() && item.contains(method) &&
          !known.contains({std::string(method), path})) {
        out.push_back(std::format("{} {} is described but not a route", upper(method), path));
      }
    }
  }
  return out;
}

std::string OpenApi::undocumented(std::string_view method, std::string_view route, int status,
                                  std::string_view content_type, std::string_view body) const {
  const std::string name = std::format("{} {}", method, route);
  const json* operation = impl_->operation(method == "HEAD" ? "GET" : method, route);
  if (operation == nullptr) return name + " is not described";
  const json* answer = impl_->answer(*operation, status);
  if (answer == nullptr) return std::format("{}: status {} is not described", name, status);
  const std::string type(content_type.substr(0, content_type.find(';')));
  const auto contents = answer->find("content");
  if (contents == answer->end()) {
    return type.empty() ? "" : std::format("{}: {} is described without content", name, status);
  }
  if (method == "HEAD" || status == 304) return "";
  const auto content = contents->find(type);
  if (content == contents->end()) {
    return std::format("{}: {} is not described with content type '{}'", name, status, type);
  }
  const bool is_json = type == "application/json" || type.ends_with("+json");
  const auto schema = content->find("schema");
  if (!is_json || schema == content->end()) return "";
  const auto value = parse_json(body);
  if (!value) return std::format("{}: {} has a body that is no JSON", name, status);
  const std::string fault = schema_fault(impl_->document, *schema, *value, "");
  return fault.empty() ? "" : std::format("{}: {}: {}", name, status, fault);
}

}  // namespace sluice::http
