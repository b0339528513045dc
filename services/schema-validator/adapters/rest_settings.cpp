// /v1/units and /v1/outlier-policies.
#include "adapters/rest_inside.h"
#include "core/outlier_policy.h"

#include <cmath>
#include <format>
#include <string>
#include <utility>

#include <sluice/http/json_reader.h>
#include <sluice/http/query_reader.h>
#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::validator {

using auth::Role;
using http::Access;
using http::Request;
using http::Response;
using Json = nlohmann::json;

namespace {

Json to_json(const UnitRow& row) {
  return {{"unit", row.name},       {"base", row.base},
          {"factor", row.factor},   {"offset", row.offset},
          {"aliases", row.aliases}, {"updated_at", format_rfc3339(row.updated_at)}};
}

Json to_json(const PolicyRow& row) {
  return {{"schema_id", row.schema_id},
          {"metric", row.metric},
          {"policy", Json::parse(row.settings, nullptr, false)},
          {"updated_at", format_rfc3339(row.updated_at)}};
}

void add_units(http::Router& router, const RestParts& parts) {
  SchemaStore& store = parts.schemas;
  router.get(
      "/v1/units", Access::role(Role::kViewer),
      [&store](const Request& request) -> Result<Response> {
        http::QueryReader query(request);
        const http::PageRequest page = http::read_page(query, request, 1);
        SLUICE_TRY(query.finish());
        SLUICE_TRY_ASSIGN(
            auto rows, store.list_units(request.tenant(), page.after.empty() ? "" : page.after[0],
                                        page.size + 1));
        return page_of(
            request, std::move(rows), page.size, [](const UnitRow& row) { return to_json(row); },
            [](const UnitRow& row) { return std::vector{row.name}; });
      });
  const std::string one = "/v1/units/{unit}";
  router.get(one, Access::role(Role::kViewer),
             [&store](const Request& request) -> Result<Response> {
               SLUICE_TRY(check_no_parameters(request));
               SLUICE_TRY_ASSIGN(const std::string name, name_param(request, "unit"));
               SLUICE_TRY_ASSIGN(const UnitRow row, store.find_unit(request.tenant(), name));
               return answer(request, row, to_json(row));
             });
  router.put(one, Access::role(Role::kOperator),
             [parts](const Request& request) -> Result<Response> {
               SLUICE_TRY_ASSIGN(const WriteOptions options,
                                 write_options_of(request, parts.audit, "unit.put"));
               SLUICE_TRY_ASSIGN(const std::string name, name_param(request, "unit"));
               SLUICE_TRY_ASSIGN(const Json body, request.json());
               http::JsonReader reader(body);
               UnitRow unit{.name = name,
                            .base = reader.text("base", {.max_size = UnitTable::kMaxNameSize})};
               unit.factor = reader.number("factor");
               unit.offset = reader.optional_number("offset").value_or(0);
               unit.aliases = reader
                                  .optional_text_list("aliases", {.max_items = 32},
                                                      {.max_size = UnitTable::kMaxNameSize})
                                  .value_or(std::vector<std::string>());
               SLUICE_TRY(reader.finish());
               // Told now, and not by a unit that is silently left out of every worker's table.
               UnitTable table = UnitTable::built_in();
               SLUICE_TRY(table.add({.name = unit.name,
                                     .base = unit.base,
                                     .factor = unit.factor,
                                     .offset = unit.offset,
                                     .aliases = unit.aliases}));
               SLUICE_TRY_ASSIGN(const UnitRow stored, parts.schemas.put_unit(unit, options));
               return Response::json(to_json(stored)).with_etag(http::etag_of(stored.revision));
             },
             {.action = "unit.put"});
  router.del(one, Access::role(Role::kAdmin),
             [parts](const Request& request) -> Result<Response> {
               SLUICE_TRY_ASSIGN(const WriteOptions options,
                                 write_options_of(request, parts.audit, "unit.delete"));
               SLUICE_TRY_ASSIGN(const std::string name, name_param(request, "unit"));
               SLUICE_TRY(parts.schemas.remove_unit(name, options));
               return Response::no_content();
             },
             {.action = "unit.delete"});
}

void add_policies(http::Router& router, const RestParts& parts) {
  SchemaStore& store = parts.schemas;
  router.get(
      "/v1/outlier-policies", Access::role(Role::kViewer),
      [&store](const Request& request) -> Result<Response> {
        http::QueryReader query(request);
        const std::string schema_id = query.id("schema_id").value_or("");
        const http::PageRequest page = http::read_page(query, request, 2);
        SLUICE_TRY(query.finish());
        const bool is_first = page.after.empty();
        SLUICE_TRY_ASSIGN(auto rows, store.list_policies(
                                         request.tenant(), schema_id, is_first ? "" : page.after[0],
                                         is_first ? "" : page.after[1], page.size + 1));
        return page_of(
            request, std::move(rows), page.size, [](const PolicyRow& row) { return to_json(row); },
            [](const PolicyRow& row) { return std::vector{row.schema_id, row.metric}; });
      });
  const std::string one = "/v1/outlier-policies/{schema_id}/{metric}";
  router.get(
      one, Access::role(Role::kViewer), [&store](const Request& request) -> Result<Response> {
        SLUICE_TRY(check_no_parameters(request));
        SLUICE_TRY_ASSIGN(const std::string id, schema_id_of(request));
        SLUICE_TRY_ASSIGN(const std::string metric, name_param(request, "metric"));
        SLUICE_TRY_ASSIGN(const PolicyRow row, store.find_policy(request.tenant(), id, metric));
        return answer(request, row, to_json(row));
      });
  router.put(one, Access::role(Role::kOperator),
             [parts](const Request& request) -> Result<Response> {
               SLUICE_TRY_ASSIGN(const WriteOptions options,
                                 write_options_of(request, parts.audit, "outlier_policy.put"));
               SLUICE_TRY_ASSIGN(const std::string id, schema_id_of(request));
               SLUICE_TRY_ASSIGN(const std::string metric, name_param(request, "metric"));
               SLUICE_TRY_ASSIGN(const OutlierRule rule, parse_outlier_rule(request.body));
               SLUICE_TRY_ASSIGN(
                   const PolicyRow stored,
                   parts.schemas.put_policy(
                       {.schema_id = id, .metric = metric, .settings = validator::to_json(rule)},
                       options));
               return Response::json(to_json(stored)).with_etag(http::etag_of(stored.revision));
             },
             {.action = "outlier_policy.put"});
  router.del(one, Access::role(Role::kAdmin),
             [parts](const Request& request) -> Result<Response> {
               SLUICE_TRY_ASSIGN(const WriteOptions options,
                                 write_options_of(request, parts.audit, "outlier_policy.delete"));
               SLUICE_TRY_ASSIGN(const std::string id, schema_id_of(request));
               SLUICE_TRY_ASSIGN(const std::string metric, name_param(request, "metric"));
               SLUICE_TRY(parts.schemas.remove_policy(id, metric, options));
               return Response::no_content();
             },
             {.action = "outlier_policy.delete"});
}

}  // namespace

void add_settings(http::Router& router, const RestParts& parts) {
  add_units(router, parts);
  add_policies(router, parts);
}

}  // namespace sluice::validator
