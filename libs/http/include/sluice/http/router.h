#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/auth/principal.h>
#include <sluice/base/result.h>
#include <sluice/config/settings.h>
#include <sluice/http/request.h>
#include <sluice/http/response.h>

namespace sluice::http {

/// Who may call a route. There is no default: a route that forgets it does not compile.
class Access {
 public:
  /// Anybody, without credential: for descriptions, never for data.
  static Access open() { return Access(Kind::kOpen, auth::Role::kViewer); }
  /// Callers with this role or a higher one, in their own tenant.
  static Access role(auth::Role needed) { return Access(Kind::kRole, needed); }
  /// Admins of the platform tenant.
  static Access platform() { return Access(Kind::kPlatform, auth::Role::kAdmin); }

  bool is_open() const { return kind_ == Kind::kOpen; }
  bool is_platform() const { return kind_ == Kind::kPlatform; }
  auth::Role needed_role() const { return role_; }
  bool allows(const auth::Principal& caller) const;
  /// "open", "viewer", "operator", "admin", "platform": the value of x-required-role in OpenAPI.
  std::string_view name() const;

  bool operator==(const Access&) const = default;

 private:
  enum class Kind : std::uint8_t { kOpen, kRole, kPlatform };
  Access(Kind kind, auth::Role role) : kind_(kind), role_(role) {}

  Kind kind_;
  auth::Role role_;
};

using Handler = std::function<Result<Response>(const Request&)>;

/// What differs from the defaults of a route's method.
struct RouteOptions {
  std::string action{};  // for the audit log: "device.create"; empty: "POST /v1/devices"
  /// Media types accepted. Empty: PATCH takes application/merge-patch+json and application/json,
  /// other methods application/json.
  std::vector<std::string> consumes{};
  /// Whether the method's body may be left out (POST verbs such as :quarantine).
  bool is_body_optional = false;
  /// Media types that may be answered, besides problems; what Accept is checked against.
  std::vector<std::string> produces{"application/json"};
  /// The handler reads the body itself through Request::body_reader, up to `max_upload`.
  bool is_upload = false;
  /// Instead of `max_body` or `max_upload`.
  std::optional<Bytes> max_body{};
  /// False for a POST whose answer is not to be kept, being too large or too secret: its repetition
  /// must be harmless by itself.
  bool takes_idempotency_key = true;
  /// A write without If-Match is answered with 428.
  bool requires_if_match = false;
  /// A POST that changes nothing, such as a validation: no audit, no idempotency key, no dry run.
  bool is_read = false;
};

/// One line of the access table.
struct Route {
  std::string method;  // GET, POST, PUT, PATCH, DELETE
  std::string path;    // "/v1/devices/{device_id}:quarantine"
  Access access;
  RouteOptions options;
  Handler handler;

  bool is_write() const { return method != "GET" && !options.is_read; }
};

/// Maps method and target to a route. Filled once at start, then only read, from any thread.
///
/// A template is made of segments: a literal, `{name}`, or either of them with a verb,
/// `devices:import` and `{device_id}:quarantine`. A target is split at its raw '/' first and each
/// segment is then decoded once, so that an encoded '/' never makes a segment; a segment that
/// decodes to control characters, '/',
/// '\', a dot segment or invalid UTF-8 is refused. A verb is taken from the raw segment: where an
/// id ends in a verb's very text, its ':' must be sent as %3A. A literal goes before a verb, a verb
/// before a name.
class Router {
 public:
  Router();
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

  void get(std::string path, Access access, Handler handler, RouteOptions options = {});
  void post(std::string path, Access access, Handler handler, RouteOptions options = {});
  void put(std::string path, Access access, Handler handler, RouteOptions options = {});
  void patch(std::string path, Access access, Handler handler, RouteOptions options = {});
  void del(std::string path, Access access, Handler handler, RouteOptions options = {});
  /// A template that is malformed or already there is a bug and aborts.
  void add(Route route);

  /// The access table, in the order of adding.
  const std::vector<std::unique_ptr<Route>>& routes() const { return routes_; }

  struct Match {
    const Route* route = nullptr;  // null: the path is known, the method is not
    std::map<std::string, std::string, std::less<>> path_params;
    std::vector<std::string> allowed;  // methods of the path, for Allow
  };
  /// HEAD matches GET. kNotFound when no template fits; kInvalidArgument when the path is
  /// malformed.
  Result<Match> match(std::string_view method, std::string_view raw_path) const;

 private:
  struct Template;
  std::vector<std::unique_ptr<Route>> routes_;  // by pointer: their addresses stay
  std::vector<Template> templates_;             // one per distinct path
};

}  // namespace sluice::http
