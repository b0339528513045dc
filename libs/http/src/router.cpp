#include <sluice/http/router.h>

#include "target.h"

#include <algorithm>
#include <array>
#include <set>

#include <sluice/base/check.h>
#include <sluice/base/utf8.h>

namespace sluice::http {
namespace {

constexpr std::array<std::string_view, 5> kMethods{"GET", "POST", "PUT", "PATCH", "DELETE"};

struct Segment {
  std::string literal;    // empty with a parameter
  std::string parameter;  // empty with a literal
  std::string verb;       // may be empty

  bool operator==(const Segment&) const = default;

  /// Smaller goes first: a literal before a verb, a verb before a name.
  int rank() const {
    if (verb.empty()) return parameter.empty() ? 0 : 3;
    return parameter.empty() ? 1 : 2;
  }
};

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> out;
  path.remove_prefix(1);
  while (true) {
    const std::size_t slash = path.find('/');
    out.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return out;
    path.remove_prefix(slash + 1);
  }
}

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

/// What a literal or verb is made of: characters that no sender needs to encode.
bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

Segment parse_segment(std::string_view text) {
  Segment out;
  const std::size_t colon = text.find(':', text.starts_with('{') ? text.find('}') : 0);
  if (colon != std::string_view::npos) {
    out.verb = text.substr(colon + 1);
    SLUICE_CHECK(!out.verb.empty() && is_plain(out.verb));
    text = text.substr(0, colon);
  }
  if (text.starts_with('{')) {
    SLUICE_CHECK(text.ends_with('}'));
    out.parameter = text.substr(1, text.size() - 2);
    SLUICE_CHECK(is_name(out.parameter));
  } else {
    out.literal = text;
    SLUICE_CHECK(!out.literal.empty() && is_plain(out.literal));
  }
  return out;
}

Result<std::string> decode_segment(std::string_view raw) {
  auto text = percent_decode(raw);
  const bool is_bad = !text || *text == "." || *text == ".." || has_control_characters(*text) ||
                      text->find_first_of("/\\") != std::string::npos || !is_valid_utf8(*text);
  if (is_bad) return fail(ErrorCode::kInvalidArgument, "the path is malformed");
  return *std::move(text);
}

struct RawSegment {
  std::string_view raw;
  std::string decoded;
};

/// The parameter's value where the segment fits; nullopt where it does not. "" for a literal.
std::optional<std::string> fit(const Segment& segment, const RawSegment& given) {
  std::string_view raw = given.raw;
  if (!segment.verb.empty()) {
    if (!raw.ends_with(segment.verb)) return std::nullopt;
    raw.remove_suffix(segment.verb.size());
    if (!raw.ends_with(':')) return std::nullopt;
    raw.remove_suffix(1);
  }
  // The whole segment was decoded without complaint, so its front is fine too.
  std::string decoded = segment.verb.empty() ? given.decoded : percent_decode(raw).value_or("");
  if (segment.parameter.empty()) {
    return decoded == segment.literal ? std::optional<std::string>("") : std::nullopt;
  }
  return decoded.empty() ? std::nullopt : std::optional(std::move(decoded));
}

}  // namespace

bool Access::allows(const auth::Principal& caller) const {
  switch (kind_) {
    case Kind::kOpen:
      return true;
    case Kind::kRole:
      return caller.has(role_);
    case Kind::kPlatform:
      return caller.is_platform();
  }
  return false;
}

std::string_view Access::name() const {
  if (kind_ == Kind::kOpen) return "open";
  if (kind_ == Kind::kPlatform) return "platform";
  return auth::to_string(role_);
}

struct Router::Template {
  std::string path;
  std::vector<Segment> segments;  // empty for "/"
  std::vector<const Route*> routes;

  /// Whether both match the same targets.
  bool has_same_shape(const Template& other) const {
    return std::ranges::equal(segments, other.segments, [](const Segment& a, const Segment& b) {
      return a.literal == b.literal && a.verb == b.verb &&
             a.parameter.empty() == b.parameter.empty();
    });
  }
  bool goes_before(const Template& other) const {
    return std::ranges::lexicographical_compare(segments, other.segments, {}, &Segment::rank,
                                                &Segment::rank);
  }
};

Router::Router() = default;
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

void Router::get(std::string path, Access access, Handler handler, RouteOptions options) {
  add({"GET", std::move(path), access, std::move(options), std::move(handler)});
}
void Router::post(std::string path, Access access, Handler handler, RouteOptions options) {
  add({"POST", std::move(path), access, std::move(options), std::move(handler)});
}
void Router::put(std::string path, Access access, Handler handler, RouteOptions options) {
  add({"PUT", std::move(path), access, std::move(options), std::move(handler)});
}
void Router::patch(std::string path, Access access, Handler handler, RouteOptions options) {
  add({"PATCH", std::move(path), access, std::move(options), std::move(handler)});
}
void Router::del(std::string path, Access access, Handler handler, RouteOptions options) {
  add({"DELETE", std::move(path), access, std::move(options), std::move(handler)});
}

void Router::add(Route route) {
  SLUICE_CHECK(std::ranges::find(kMethods, route.method) != kMethods.end());
  SLUICE_CHECK(route.handler != nullptr);
  SLUICE_CHECK(route.path.starts_with('/'));
  if (route.options.action.empty()) route.options.action = route.method + " " + route.path;
  const bool has_body = route.method == "POST" || route.method == "PUT" || route.method == "PATCH";
  if (route.options.consumes.empty() && has_body) {
    if (route.method == "PATCH")
      route.options.consumes.emplace_back("application/merge-patch+json");
    route.options.consumes.emplace_back("application/json");
  }

  Template made{.path = route.path, .segments = {}, .routes = {}};
  std::set<std::string> names;
  if (route.path != "/") {
    for (const std::string_view text : split(route.path)) {
      made.segments.push_back(parse_segment(text));
      const std::string& name = made.segments.back().parameter;
      SLUICE_CHECK(name.empty() || names.insert(name).second);
    }
  }
  routes_.push_back(std::make_unique<Route>(std::move(route)));
  const Route* const added = routes_.back().get();
  for (Template& existing : templates_) {
    if (!existing.has_same_shape(made)) continue;
    // One path has one set of parameter names, or its handlers and its description would disagree.
    SLUICE_CHECK(existing.path == made.path);
    for (const Route* other : existing.routes) SLUICE_CHECK(other->method != added->method);
    existing.routes.push_back(added);
    return;
  }
  made.routes.push_back(added);
  templates_.push_back(std::move(made));
}

Result<Router::Match> Router::match(std::string_view method, std::string_view raw_path) const {
  if (!raw_path.starts_with('/')) return fail(ErrorCode::kInvalidArgument, "the path is malformed");
  std::vector<RawSegment> given;
  if (raw_path != "/") {
    for (const std::string_view raw : split(raw_path)) {
      SLUICE_TRY_ASSIGN(auto decoded, decode_segment(raw));
      given.push_back({raw, std::move(decoded)});
    }
  }

  // A few dozen templates: looking at each costs less than a request's head.
  const Template* best = nullptr;
  std::vector<std::string> best_values;
  for (const Template& candidate : templates_) {
    if (candidate.segments.size() != given.size()) continue;
    if (best != nullptr && !candidate.goes_before(*best)) continue;
    std::vector<std::string> values;
    for (std::size_t i = 0; i < given.size(); ++i) {
      auto value = fit(candidate.segments[i], given[i]);
      if (!value) break;
      values.push_back(*std::move(value));
    }
    if (values.size() != given.size()) continue;
    best = &candidate;
    best_values = std::move(values);
  }
  if (best == nullptr) return fail(ErrorCode::kNotFound, "there is nothing at this path");

  Match out;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const std::string& name = best->segments[i].parameter;
    if (!name.empty()) out.path_params.emplace(name, std::move(best_values[i]));
  }
  for (const Route* route : best->routes) {
    if (route->method == method || (method == "HEAD" && route->method == "GET")) out.route = route;
    out.allowed.push_back(route->method);
    if (route->method == "GET") out.allowed.emplace_back("HEAD");
  }
  out.allowed.emplace_back("OPTIONS");
  return out;
}

}  // namespace sluice::http
