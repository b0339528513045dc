#include "adapters/rest_api.h"

#include "adapters/rest_mapping.h"
#include "core/query.h"

#include <format>
#include <functional>
#include <string>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/embedded/device_registry_openapi.h>
#include <sluice/http/json_reader.h>
#include <sluice/http/openapi.h>
#include <sluice/http/query_reader.h>

namespace sluice::registry {
namespace {

using enum ResourceKind;
using http::Request;
using http::Response;

http::RouteOptions action(ResourceKind kind, std::string_view verb) {
  return {.action = std::format("{}.{}", info_of(kind).noun, verb)};
}

using List = Searches::List;

List list_of(const RestParts& parts) {
  if (parts.searches == nullptr) return std::bind_front(&Catalog::list, &parts.catalog);
  return std::bind_front(&Searches::list, parts.searches);
}

void add_list(http::Router& router, const List& find, ResourceKind kind, const std::string& path) {
  router.get(path, access_for(kind, Action::kRead),
             [find, kind](const Request& request) -> Result<Response> {
               SLUICE_TRY_ASSIGN(const ListRequest list, list_request_of(request));
               SLUICE_TRY_ASSIGN(const Page page, find(caller_of(request), kind, list));
               return to_response(page);
             });
}

void add_create(http::Router& router, Catalog& catalog, ResourceKind kind,
                const std::string& path) {
  router.post(
      path, access_for(kind, Action::kCreate),
      [&catalog, kind](const Request& request) -> Result<Response> {
        // A tenant is made in no tenant's scope, which is no place for an answer of one caller.
        SLUICE_TRY_ASSIGN(const WriteOptions options, kind == kTenant
                                                          ? write_options_of(request)
                                                          : write_options_of(request, created));
        SLUICE_TRY_ASSIGN(const Json body, body_of(request));
        SLUICE_TRY_ASSIGN(const Written written,
                          catalog.create(caller_of(request), kind, body, options));
        return created(written);
      },
      action(kind, "create"));
}

void add_get(http::Router& router, Catalog& catalog, ResourceKind kind, const std::string& path,
             const char* id) {
  router.get(path, access_for(kind, Action::kRead),
             [&catalog, kind, id](const Request& request) -> Result<Response> {
               SLUICE_TRY(check_no_parameters(request));
               SLUICE_TRY_ASSIGN(const Resource resource,
                                 catalog.get(caller_of(request), kind, request.param(id)));
               return to_response(request, resource);
             });
}

void add_update(http::Router& router, Catalog& catalog, ResourceKind kind, const std::string& path,
                const char* id) {
  router.patch(
      path, access_for(kind, Action::kUpdate),
      [&catalog, kind, id](const Request& request) -> Result<Response> {
        SLUICE_TRY_ASSIGN(const WriteOptions options, write_options_of(request));
        SLUICE_TRY_ASSIGN(const Json patch, body_of(request));
        SLUICE_TRY_ASSIGN(const Written written, catalog.update(caller_of(request), kind,
                                                                request.param(id), patch, options));
        return changed(written);
      },
      action(kind, "update"));
}

void add_delete(http::Router& router, Catalog& catalog, ResourceKind kind, const std::string& path,
                const char* id) {
  router.del(
      path, access_for(kind, Action::kDelete),
      [&catalog, kind, id](const Request& request) -> Result<Response> {
        SLUICE_TRY_ASSIGN(const WriteOptions options, write_options_of(request));
        SLUICE_TRY(catalog.remove(caller_of(request), kind, request.param(id), options));
        return Response::no_content();
      },
      action(kind, "delete"));
}

/// What an operator manages in the same way, whatever it is: list, create, get, change, delete.
void add_collection(http::Router& router, const RestParts& parts, ResourceKind kind,
                    const std::string& path, const char* id) {
  const std::string one = std::format("{}/{{{}}}", path, id);
  Catalog& catalog = parts.catalog;
  add_list(router, list_of(parts), kind, path);
  add_create(router, catalog, kind, path);
  add_get(router, catalog, kind, one, id);
  if (kind == kApiKey) return;  // its rights are fixed, and it is revoked: see add_revoke()
  add_update(router, catalog, kind, one, id);
  add_delete(router, catalog, kind, one, id);
}

void add_tenant_keys(http::Router& router, Catalog& catalog) {
  router.post(
      "/v1/tenants/{tenant_id}/api-keys", http::Access::platform(),
      [&catalog](const Request& request) -> Result<Response> {
        // The one place where a tenant is named in a request: by an admin of the platform, checked
        // again by the core.
        Caller caller = caller_of(request);
        caller.tenant = TenantId(request.param("tenant_id"));
        SLUICE_TRY_ASSIGN(const WriteOptions options, write_options_of(request));
        SLUICE_TRY_ASSIGN(const Json body, body_of(request));
        SLUICE_TRY_ASSIGN(const Written written, catalog.create(caller, kApiKey, body, options));
        return created(written);
      },
      action(kApiKey, "create"));
}

void add_search(http::Router& router, const List& find) {
  http::RouteOptions options = action(kDevice, "search");
  options.is_read = true;
  router.post(
      "/v1/devices:search", access_for(kDevice, Action::kRead),
      [find](const Request& request) -> Result<Response> {
        SLUICE_TRY(check_no_parameters(request));
        SLUICE_TRY_ASSIGN(const Json body, body_of(request));
        if (!body.is_object()) {
          return fail(Error(ErrorCode::kInvalidArgument, "the body is not valid")
                          .with_fault("", "must be an object"));
        }
        http::JsonReader reader(body);
        ListRequest list{
            .filter = reader.optional_text("filter", {.min_size = 0, .max_size = kMaxFilterSize})
                          .value_or(""),
            .order_by =
                reader.optional_text("order_by", {.min_size = 0, .max_size = 80}).value_or(""),
            .page_token = reader.optional_text("page_token", {.max_size = 1024}).value_or("")};
        const auto page_size = reader.optional_integer(
            "page_size", {.min = 1, .max = static_cast<std::int64_t>(kMaxPageSize)});
        list.page_size = static_cast<std::size_t>(page_size.value_or(0));
        SLUICE_TRY(reader.finish());
        SLUICE_TRY_ASSIGN(const Page page, find(caller_of(request), kDevice, list));
        return to_response(page);
      },
      options);
}

void add_status_verb(http::Router& router, Catalog& catalog, std::string_view verb,
                     DeviceStatus status) {
  http::RouteOptions options = action(kDevice, verb);
  options.is_body_optional = true;
  router.post(
      std::format("/v1/devices/{{device_id}}:{}", verb), access_for(kDevice, Action::kUpdate),
      [&catalog, status](const Request& request) -> Result<Response> {
        SLUICE_TRY_ASSIGN(const WriteOptions write, write_options_of(request, changed));
        SLUICE_TRY_ASSIGN(const Json body, body_of(request));
        SLUICE_TRY_ASSIGN(const std::string reason, status_reason_of(body));
        SLUICE_TRY_ASSIGN(const Written written,
                          catalog.set_device_status(caller_of(request), request.param("device_id"),
                                                    status, reason, write));
        return changed(written);
      },
      options);
}

using Revoke = std::function<Result<Written>(const Request&, const WriteOptions&)>;

/// What is not deleted but made worthless: it stays listed, so that a later use of it is told from
/// a guess.
void add_revoke(http::Router& router, ResourceKind kind, const std::string& path, Revoke revoke) {
  http::RouteOptions options = action(kind, "revoke");
  options.is_body_optional = true;
  router.post(
      path + ":revoke", access_for(kind, Action::kDelete),
      [revoke = std::move(revoke)](const Request& request) -> Result<Response> {
        SLUICE_TRY_ASSIGN(const WriteOptions write, write_options_of(request, changed));
        SLUICE_TRY(check_no_members(request));
        SLUICE_TRY_ASSIGN(const Written written, revoke(request, write));
        return changed(written);
      },
      options);
}

void add_credentials(http::Router& router, Catalog& catalog, const List& find) {
  const std::string path = "/v1/devices/{device_id}/credentials";
  const std::string one = path + "/{credential_id}";
  router.get(path, access_for(kCredential, Action::kRead),
             [find](const Request& request) -> Result<Response> {
               SLUICE_TRY_ASSIGN(ListRequest list, list_request_of(request));
               list.device_id = request.param("device_id");
               SLUICE_TRY_ASSIGN(const Page page, find(caller_of(request), kCredential, list));
               return to_response(page);
             });
  router.post(
      path, access_for(kCredential, Action::kCreate),
      [&catalog](const Request& request) -> Result<Response> {
        SLUICE_TRY_ASSIGN(const WriteOptions options, write_options_of(request, created));
        SLUICE_TRY_ASSIGN(const Json body, body_of(request));
        SLUICE_TRY_ASSIGN(
            const Written written,
            catalog.add_credential(caller_of(request), request.param("device_id"), body, options));
        return created(written);
      },
      action(kCredential, "create"));
  router.get(one, access_for(kCredential, Action::kRead),
             [&catalog](const Request& request) -> Result<Response> {
               SLUICE_TRY(check_no_parameters(request));
               SLUICE_TRY_ASSIGN(
                   const Resource resource,
                   catalog.get_credential(caller_of(request), request.param("device_id"),
                                          request.param("credential_id")));
               return to_response(request, resource);
             });
  add_revoke(router, kCredential, one,
             [&catalog](const Request& request, const WriteOptions& options) {
               return catalog.revoke_credential(caller_of(request), request.param("device_id"),
                                                request.param("credential_id"), options);
             });
}

void add_api_keys(http::Router& router, const RestParts& parts, ForgetKey forget_key) {
  Catalog& catalog = parts.catalog;
  add_collection(router, parts, kApiKey, "/v1/api-keys", "key_id");
  add_revoke(router, kApiKey, "/v1/api-keys/{key_id}",
             [&catalog, forget_key](const Request& request,
                                    const WriteOptions& options) -> Result<Written> {
               SLUICE_TRY_ASSIGN(
                   Written written,
                   catalog.revoke_api_key(caller_of(request), request.param("key_id"), options));
               if (!request.is_dry_run) forget_key(written.resource.id);
               return written;
             });
}

void add_import(http::Router& router, ImportQueue& imports) {
  http::RouteOptions options = action(kDevice, "import");
  options.consumes = {"application/x-ndjson"};
  options.is_upload = true;
  router.post(
      "/v1/devices:import", access_for(kDevice, Action::kCreate),
      [&imports](const Request& request) -> Result<Response> {
        http::QueryReader query(request);
        ImportRequest import{.idempotency_key = query.id("import_key").value_or(""),
                             .issue_tokens = query.boolean("issue_tokens").value_or(false),
                             .is_dry_run = request.is_dry_run};
        SLUICE_TRY(query.finish());
        SLUICE_TRY_ASSIGN(
            const Operation operation,
            imports.take(caller_of(request), std::move(import), *request.body_reader));
        return Response::accepted(operation.fields, "/v1/operations/" + operation.id);
      },
      options);
}

/// A large answer, streamed: it has as long as an upload of its size, where one that is sent whole
/// must be taken within the time of any other request.
Response in_pieces(std::string content_type, std::string bytes) {
  constexpr std::size_t kPieceSize = std::size_t{256} << 10;
  return Response::streamed(std::move(content_type),
                            [bytes = std::move(bytes)](http::BodyWriter& writer) -> Result<> {
                              for (std::string_view rest = bytes; !rest.empty();) {
                                const std::string_view piece = rest.substr(0, kPieceSize);
                                SLUICE_TRY(writer.write(piece));
                                rest.remove_prefix(piece.size());
                              }
                              return {};
                            });
}

void add_operations(http::Router& router, Operations& operations) {
  router.get("/v1/operations/{operation_id}", access_for(kDevice, Action::kCreate),
             [&operations](const Request& request) -> Result<Response> {
               SLUICE_TRY(check_no_parameters(request));
               SLUICE_TRY_ASSIGN(const Operation operation,
                                 operations.get(caller_of(request), request.param("operation_id")));
               return Response::json(operation.fields);
             });
  router.post("/v1/operations/{operation_id}:take-result", access_for(kDevice, Action::kCreate),
              [&operations](const Request& request) -> Result<Response> {
                SLUICE_TRY(check_no_parameters(request));
                if (request.is_dry_run) {
                  return fail(Error(ErrorCode::kInvalidArgument, "a result can only be taken")
                                  .with_fault("dry_run", "cannot be true here"));
                }
                SLUICE_TRY_ASSIGN(
                    std::string lines,
                    operations.take_result(caller_of(request), request.param("operation_id")));
                return in_pieces("application/x-ndjson", std::move(lines));
              },
              {.action = "operation.take_result",
               .is_body_optional = true,
               .produces = {"application/x-ndjson"},
               // Kept, the tokens would outlive kResultGrace; and a repetition is harmless.
               .takes_idempotency_key = false});
}

}  // namespace

http::Router make_router(const RestParts& parts, ForgetKey forget_key) {
  http::Router router;
  Catalog& catalog = parts.catalog;
  add_collection(router, parts, kTenant, "/v1/tenants", "tenant_id");
  add_tenant_keys(router, catalog);
  add_collection(router, parts, kFleet, "/v1/fleets", "fleet_id");
  add_collection(router, parts, kDeviceClass, "/v1/device-classes", "device_class_id");
  add_collection(router, parts, kTopicPolicy, "/v1/topic-policies", "topic_policy_id");
  add_collection(router, parts, kDevice, "/v1/devices", "device_id");
  add_search(router, list_of(parts));
  add_import(router, parts.imports);
  add_status_verb(router, catalog, "activate", DeviceStatus::kActive);
  add_status_verb(router, catalog, "deactivate", DeviceStatus::kInactive);
  add_status_verb(router, catalog, "quarantine", DeviceStatus::kQuarantined);
  add_status_verb(router, catalog, "revoke", DeviceStatus::kRevoked);
  add_credentials(router, catalog, list_of(parts));
  add_api_keys(router, parts, std::move(forget_key));
  add_operations(router, parts.operations);

  const auto description = http::OpenApi::parse(embedded::device_registry_openapi);
  SLUICE_CHECK(description.has_value());
  description->serve(router);
  return router;
}

}  // namespace sluice::registry
