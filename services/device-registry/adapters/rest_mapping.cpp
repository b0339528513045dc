#include "adapters/rest_mapping.h"

#include "core/json.h"
#include "core/query.h"

#include <format>

#include <sluice/answer_store/answer_store.h>
#include <sluice/base/check.h>
#include <sluice/http/query_reader.h>

namespace sluice::registry {
namespace {

constexpr std::int64_t kMaxStatusReason =
    256;  // characters: a sentence for people; openapi.yaml has it too

Role role_of(auth::Role role) {
  switch (role) {
    case auth::Role::kViewer:
      return Role::kViewer;
    case auth::Role::kOperator:
      return Role::kOperator;
    case auth::Role::kAdmin:
      return Role::kAdmin;
  }
  return Role::kViewer;
}

auth::Role role_of(Role role) {
  switch (role) {
    case Role::kViewer:
      return auth::Role::kViewer;
    case Role::kOperator:
      return auth::Role::kOperator;
    case Role::kAdmin:
      return auth::Role::kAdmin;
  }
  return auth::Role::kAdmin;
}

std::string_view collection_of(ResourceKind kind) {
  switch (kind) {
    case ResourceKind::kTenant:
      return "tenants";
    case ResourceKind::kFleet:
      return "fleets";
    case ResourceKind::kDeviceClass:
      return "device-classes";
    case ResourceKind::kTopicPolicy:
      return "topic-policies";
    case ResourceKind::kDevice:
      return "devices";
    case ResourceKind::kCredential:
      return "credentials";
    case ResourceKind::kApiKey:
      return "api-keys";
  }
  SLUICE_CHECK(false);
}

/// An id as one path segment. Ids may hold ':', which begins a verb unless it is written as %3A.
std::string segment(std::string_view id) {
  std::string out;
  for (const char c : id) {
    if (c == ':') {
      out += "%3A";
    } else {
      out += c;
    }
  }
  return out;
}

http::StoredResponse stored(const http::Response& response) {
  return {.status = response.status,
          .content_type = response.content_type,
          .location = std::string(response.headers.get("Location").value_or("")),
          .etag = std::string(response.headers.get("ETag").value_or("")),
          .body = response.body};
}

}  // namespace

Caller caller_of(const http::Request& request) {
  const auth::Principal& principal = request.principal();
  const bool is_key = principal.credential_id != "oidc";
  return {.home = principal.tenant,
          .tenant = principal.tenant,
          .role = role_of(principal.role),
          .kind = is_key ? common::v1::AUDIT_ACTOR_KIND_API_KEY : common::v1::AUDIT_ACTOR_KIND_OIDC,
          .id = is_key ? principal.credential_id : principal.subject,
          .address = request.peer.ip,
          .traceparent = request.trace.traceparent()};
}

http::Access access_for(ResourceKind kind, Action action) {
  const AccessRule rule = access_to(kind, action);
  return rule.is_platform_only ? http::Access::platform() : http::Access::role(role_of(rule.role));
}

Result<Json> body_of(const http::Request& request) {
  if (request.body.empty()) return Json::object();
  return parse_json(request.body);
}

Result<> check_no_parameters(const http::Request& request) {
  http::QueryReader query(request);
  return query.finish();
}

Result<> check_no_members(const http::Request& request) {
  SLUICE_TRY_ASSIGN(const Json body, body_of(request));
  if (auto faults = check_shape(body, Shape()); !faults.empty()) {
    return fail(
        Error(ErrorCode::kInvalidArgument, "the body is not valid").with_faults(std::move(faults)));
  }
  return {};
}

Result<ListRequest> list_request_of(const http::Request& request) {
  http::QueryReader query(request);
  ListRequest list{.filter = query.text("filter", kMaxFilterSize).value_or(""),
                   .order_by = query.text("order_by").value_or(""),
                   .page_token = query.text("page_token", 1024).value_or("")};
  const auto page_size =
      query.integer("page_size", {.min = 1, .max = static_cast<std::int64_t>(kMaxPageSize)});
  list.page_size = static_cast<std::size_t>(page_size.value_or(0));
  SLUICE_TRY(query.finish());
  return list;
}

Result<std::string> status_reason_of(const Json& body) {
  static constexpr Field kReason[]{
      {.name = "reason", .type = Field::Type::kText, .min = 1, .max = kMaxStatusReason}};
  if (auto faults = check_shape(body, kReason); !faults.empty()) {
    return fail(
        Error(ErrorCode::kInvalidArgument, "the body is not valid").with_faults(std::move(faults)));
  }
  return text_at(body, "reason");
}

Result<http::Preconditions> preconditions_of(const http::Request& request) {
  return http::Preconditions::parse(request.headers.joined("If-Match"),
                                    request.headers.joined("If-None-Match"));
}

Result<WriteOptions> write_options_of(const http::Request& request) {
  SLUICE_TRY(check_no_parameters(request));
  SLUICE_TRY_ASSIGN(http::Preconditions preconditions, preconditions_of(request));
  return WriteOptions{.preconditions = std::move(preconditions), .is_dry_run = request.is_dry_run};
}

Result<WriteOptions> write_options_of(const http::Request& request, RenderWritten render) {
  SLUICE_TRY_ASSIGN(WriteOptions options, write_options_of(request));
  if (request.idempotency_key && !request.is_dry_run) {
    options.keep_answer = KeepAnswer{.subject = request.idempotency_key->subject,
                                     .key = request.idempotency_key->key,
                                     .render = [render](const Written& written) {
                                       return encode_answer(stored(render(written)));
                                     }};
  }
  return options;
}

Json to_json(const Resource& resource) {
  Json json = Json::object();
  json[info_of(resource.kind).id_field] = resource.id;
  for (const auto& [name, value] : resource.fields.items()) {
    if (!value.is_null()) json[name] = value;
  }
  return json;
}

http::Response to_response(const Resource& resource) {
  return http::Response::json(to_json(resource)).with_etag(http::etag_of(resource.revision));
}

Result<http::Response> to_response(const http::Request& request, const Resource& resource) {
  SLUICE_TRY_ASSIGN(const http::Preconditions preconditions, preconditions_of(request));
  if (preconditions.is_not_modified(resource.revision)) {
    return http::Response::not_modified(http::etag_of(resource.revision));
  }
  return to_response(resource);
}

http::Response to_response(const Page& page) {
  Json items = Json::array();
  for (const Resource& item : page.items) items.push_back(to_json(item));
  Json json{{"items", std::move(items)}};
  if (!page.next_page_token.empty()) json["next_page_token"] = page.next_page_token;
  return http::Response::json(json);
}

http::Response created(const Written& written) {
  Json json = to_json(written.resource);
  json.update(written.shown_once);
  return http::Response::created(json, location_of(written.resource))
      .with_etag(http::etag_of(written.resource.revision));
}

http::Response changed(const Written& written) { return to_response(written.resource); }

std::string location_of(const Resource& resource) {
  if (resource.kind == ResourceKind::kCredential) {
    return std::format("/v1/devices/{}/credentials/{}", text_at(resource.fields, "device_id"),
                       resource.id);
  }
  return std::format("/v1/{}/{}", collection_of(resource.kind), segment(resource.id));
}

}  // namespace sluice::registry
