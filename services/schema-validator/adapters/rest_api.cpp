#include "adapters/rest_api.h"

#include "adapters/rest_inside.h"
#include "adapters/rest_rejections.h"

#include <format>
#include <string>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/embedded/schema_validator_openapi.h>
#include <sluice/http/json_reader.h>
#include <sluice/http/openapi.h>
#include <sluice/http/query_reader.h>
#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::validator {

using auth::Role;
using http::Access;
using http::Request;
using http::Response;
using Json = nlohmann::json;

Result<> check_no_parameters(const Request& request) {
  http::QueryReader query(request);
  return query.finish();
}

Result<http::Preconditions> preconditions_of(const Request& request) {
  return http::Preconditions::parse(request.headers.joined("If-Match"),
                                    request.headers.joined("If-None-Match"));
}

Result<WriteOptions> write_options_of(const Request& request, audit::Trail& trail,
                                      std::string_view action) {
  SLUICE_TRY(check_no_parameters(request));
  SLUICE_TRY_ASSIGN(http::Preconditions preconditions, preconditions_of(request));
  return WriteOptions{.tenant = request.tenant(),
                      .by = request.principal().identity(),
                      .traceparent = request.trace.traceparent(),
                      .preconditions = std::move(preconditions),
                      .is_dry_run = request.is_dry_run,
                      .audit = [&request, &trail, action](std::string_view target) {
                        return trail.done(request,
                                          {.action = action, .target = std::string(target)});
                      }};
}

Result<std::string> schema_id_of(const Request& request) {
  const std::string& id = request.param("schema_id");
  SLUICE_TRY(check_id(id, "schema_id"));
  if (id.contains(':')) {
    return fail(Error(ErrorCode::kInvalidArgument, "schema_id is not valid")
                    .with_fault("schema_id", "must not hold ':'"));
  }
  return id;
}

Result<std::string> name_param(const Request& request, std::string_view param) {
  const std::string& name = request.param(param);
  if (name.size() > 256) {
    return fail(Error(ErrorCode::kInvalidArgument, std::format("{} is too long", param))
                    .with_fault(std::string(param), "must be at most 256 bytes"));
  }
  return name;
}

namespace {

Result<Version> version_of(const Request& request) {
  const auto version = Version::parse(request.param("version"));
  if (!version) return fail(ErrorCode::kNotFound, "no such version of the schema");
  return *version;
}

Json to_json(const VersionRow& row, bool with_document) {
  Json json{{"schema_id", row.schema_id},
            {"version", row.version.text()},
            {"kind", name_of(row.kind)},
            {"registered_by", row.registered_by},
            {"registered_at", format_rfc3339(row.registered_at)}};
  if (with_document) json["document"] = Json::parse(row.document, nullptr, false);
  return json;
}

/// What is to be registered or tried.
struct Document {
  SchemaKind kind{};
  std::string text{};
  std::optional<std::uint32_t> major{};
  bool is_new_major = false;
  std::int64_t max_messages = 0;
};

Result<Document> read_document(const Request& request, bool is_try) {
  SLUICE_TRY_ASSIGN(const Json body, request.json());
  http::JsonReader reader(body);
  Document document;
  const std::string kind =
      reader.text("kind", {.one_of = {"json_schema", "avro", "metrics_table", "protobuf"}});
  const Json* const value = reader.any("document");
  if (value == nullptr ||
      !(value->is_object() || value->is_array() || value->is_string() || value->is_boolean())) {
    reader.fault("document", "is required");
  } else {
    document.text = to_json_text(*value);
  }
  if (is_try) {
    document.max_messages =
        reader.optional_integer("max_messages", {.min = 1, .max = 1'000'000}).value_or(0);
  } else {
    if (const auto major = reader.optional_integer("major", {.min = 1, .max = 1'000'000})) {
      document.major = static_cast<std::uint32_t>(*major);
    }
    document.is_new_major = reader.optional_boolean("new_major").value_or(false);
    if (document.major && document.is_new_major) {
      reader.fault("new_major", "cannot be true together with major");
    }
  }
  SLUICE_TRY(reader.finish());
  document.kind = parse_schema_kind(kind).value_or(SchemaKind::kMetricsTable);
  return document;
}

void add_schemas(http::Router& router, const RestParts& parts) {
  SchemaStore& store = parts.schemas;
  router.get("/v1/schemas", Access::role(Role::kViewer),
             [&store](const Request& request) -> Result<Response> {
               http::QueryReader query(request);
               const http::PageRequest page = http::read_page(query, request, 1);
               SLUICE_TRY(query.finish());
               SLUICE_TRY_ASSIGN(
                   auto rows,
                   store.list_schemas(request.tenant(), page.after.empty() ? "" : page.after[0],
                                      page.size + 1));
               return page_of(
                   request, std::move(rows), page.size,
                   [](const SchemaRow& row) {
                     return Json{{"schema_id", row.schema_id},
                                 {"latest_version", row.latest.text()},
                                 {"versions", row.versions},
                                 {"created_at", format_rfc3339(row.created_at)},
                                 {"updated_at", format_rfc3339(row.updated_at)}};
                   },
                   [](const SchemaRow& row) { return std::vector{row.schema_id}; });
             });
  const std::string versions = "/v1/schemas/{schema_id}/versions";
  router.get(versions, Access::role(Role::kViewer),
             [&store](const Request& request) -> Result<Response> {
               SLUICE_TRY(check_no_parameters(request));
               SLUICE_TRY_ASSIGN(const std::string id, schema_id_of(request));
               SLUICE_TRY_ASSIGN(const auto rows, store.list_versions(request.tenant(), id));
               Json items = Json::array();
               for (const VersionRow& row : rows) items.push_back(to_json(row, false));
               return Response::json({{"items", std::move(items)}});
             });
  router.post(versions, Access::role(Role::kOperator),
              [parts](const Request& request) -> Result<Response> {
                SLUICE_TRY_ASSIGN(const WriteOptions options,
                                  write_options_of(request, parts.audit, "schema.register"));
                SLUICE_TRY_ASSIGN(const std::string id, schema_id_of(request));
                SLUICE_TRY_ASSIGN(const Document document, read_document(request, false));
                const auto catalogue = parts.catalogue.load();
                const auto decide = [&](std::span<const VersionRow> rows) {
                  std::vector<ExistingVersion> existing;
                  for (const VersionRow& row : rows) {
                    existing.push_back(
                        {.version = row.version, .kind = row.kind, .document = row.document});
                  }
                  return decide_version(existing,
                                        {.kind = document.kind,
                                         .document = document.text,
                                         .major = document.major,
                                         .is_new_major = document.is_new_major},
                                        catalogue->units_of(request.tenant().value()),
                                        parts.compile_limits);
                };
                SLUICE_TRY_ASSIGN(const auto registered,
                                  parts.schemas.register_version(id, options, decide));
                const std::string etag = http::etag_of(registered.row.revision);
                Json json = to_json(registered.row, true);
                if (!registered.is_new) return Response::json(std::move(json)).with_etag(etag);
                return Response::created(std::move(json),
                                         std::format("/v1/schemas/{}/versions/{}", id,
                                                     registered.row.version.text()))
                    .with_etag(etag);
              },
              {.action = "schema.register"});
  router.post(
      versions + ":try", Access::role(Role::kOperator),
      [parts](const Request& request) -> Result<Response> {
        SLUICE_TRY(check_no_parameters(request));
        SLUICE_TRY_ASSIGN(const std::string id, schema_id_of(request));
        SLUICE_TRY_ASSIGN(const Document document, read_document(request, true));
        SLUICE_TRY_ASSIGN(const auto schema,
                          compile(document.kind, document.text,
                                  parts.catalogue.load()->units_of(request.tenant().value()),
                                  parts.compile_limits));
        SLUICE_TRY_ASSIGN(const DryRun::Report report,
                          parts.dry_run.run(request.tenant(), id, *schema, document.max_messages));
        Json causes = Json::array();
        for (const DryRun::Cause& cause : report.causes) {
          causes.push_back({{"reason", cause.reason},
                            {"pointer", cause.pointer},
                            {"messages", cause.count},
                            {"detail", cause.detail},
                            {"device_id", cause.device_id},
                            {"source_partition", cause.partition},
                            {"source_offset", cause.offset}});
        }
        return Response::json({{"looked_at", report.looked_at},
                               {"judged", report.judged},
                               {"rejected", report.rejected},
                               {"is_complete", report.is_complete},
                               {"causes", std::move(causes)}});
      },
      {.action = "schema.try", .is_read = true});
  const std::string one = versions + "/{version}";
  router.get(
      one, Access::role(Role::kViewer), [&store](const Request& request) -> Result<Response> {
        SLUICE_TRY(check_no_parameters(request));
        SLUICE_TRY_ASSIGN(const std::string id, schema_id_of(request));
        SLUICE_TRY_ASSIGN(const Version version, version_of(request));
        SLUICE_TRY_ASSIGN(const VersionRow row, store.find_version(request.tenant(), id, version));
        return answer(request, row, to_json(row, true));
      });
  router.del(one, Access::role(Role::kAdmin),
             [parts](const Request& request) -> Result<Response> {
               SLUICE_TRY_ASSIGN(const WriteOptions options,
                                 write_options_of(request, parts.audit, "schema.delete"));
               SLUICE_TRY_ASSIGN(const std::string id, schema_id_of(request));
               SLUICE_TRY_ASSIGN(const Version version, version_of(request));
               SLUICE_TRY(parts.schemas.remove_version(id, version, options));
               return Response::no_content();
             },
             {.action = "schema.delete"});
}

}  // namespace

http::Router make_router(const RestParts& parts) {
  http::Router router;
  add_schemas(router, parts);
  add_settings(router, parts);
  add_rejections(router, parts);
  const auto description = http::OpenApi::parse(embedded::schema_validator_openapi);
  SLUICE_CHECK(description.has_value());
  description->serve(router);
  return router;
}

}  // namespace sluice::validator
