#include "adapters/rest_retention.h"

#include <chrono>
#include <format>
#include <string>
#include <utility>

#include <sluice/base/ids.h>
#include <sluice/http/json_reader.h>

#include <nlohmann/json.hpp>

namespace sluice::tsdb {
namespace {

using http::Request;
using http::Response;
using nlohmann::json;

// A year of daily partitions in the tables of every preset is under 2,000.
constexpr std::size_t kMaxDrops = 5'000;

/// Hours, which every policy is a multiple of; null for ever.
json hours_of(const std::optional<std::chrono::milliseconds>& keep) {
  if (!keep) return nullptr;
  return std::chrono::duration_cast<std::chrono::hours>(*keep).count();
}

json policy_json(const RetentionPolicy& policy) {
  return {{"name", policy.name},
          {"keep_hours",
           {{"raw", hours_of(policy.keep_raw)},
            {"1m", hours_of(policy.keep_rollup_1m)},
            {"1h", hours_of(policy.keep_rollup_1h)},
            {"1d", hours_of(policy.keep_rollup_1d)}}}};
}

/// As queries call the tiers.
std::string_view tier_name(Tier tier) {
  switch (tier) {
    case Tier::kRollup1m:
      return "1m";
    case Tier::kRollup1h:
      return "1h";
    case Tier::kRollup1d:
      return "1d";
    default:
      return "raw";
  }
}

json drop_json(const PlannedDrop& drop) {
  return {{"due", format_rfc3339(drop.due)}, {"policy", drop.policy},
          {"tier", tier_name(drop.tier)},    {"from", format_rfc3339(drop.starts)},
          {"to", format_rfc3339(drop.ends)}, {"bytes", drop.bytes}};
}

Result<Response> overview(RetentionBook& book, const Request& request) {
  SLUICE_TRY_ASSIGN(const auto found, book.overview(request.tenant()));
  json answer = {{"policies", json::array()}, {"classes", json::array()}, {"drops", json::array()}};
  for (const RetentionPolicy& policy : found.policies) {
    answer["policies"].push_back(policy_json(policy));
  }
  for (const ClassPolicy& each : found.classes) {
    answer["classes"].push_back({{"device_type", each.device_type},
                                 {"policy", each.policy},
                                 {"is_default", !each.is_assigned}});
  }
  for (const PlannedDrop& drop : found.drops) {
    if (answer["drops"].size() == kMaxDrops) break;
    answer["drops"].push_back(drop_json(drop));
  }
  return Response::json(answer);
}

Result<Response> set_policy(RetentionBook& book, const WriteAuditRecord& audit,
                            const Request& request) {
  SLUICE_TRY_ASSIGN(const json body, request.json());
  http::JsonReader reader(body);
  const std::string policy = reader.text("policy", {.max_size = 64});
  SLUICE_TRY(reader.finish());
  const std::string& device_type = request.param("device_type");
  SLUICE_TRY(check_id(device_type, "device_type"));
  if (request.is_dry_run) {
    SLUICE_TRY(book.check_policy(policy));
  } else {
    const std::string record = audit(request, {.action = "retention.assign",
                                               .target = "device-class/" + device_type,
                                               .changed_fields = {"policy"}});
    const std::string traceparent = request.trace.traceparent();
    SLUICE_TRY(book.set_class_policy(request.tenant(), device_type, policy,
                                     {.actor = request.principal().subject,
                                      .audit_record = record,
                                      .traceparent = traceparent}));
  }
  return Response::json({{"device_type", device_type}, {"policy", policy}, {"is_default", false}});
}

}  // namespace

void add_retention_routes(http::Router& router, RetentionBook& book, WriteAuditRecord audit) {
  router.get("/v1/retention", http::Access::role(auth::Role::kViewer),
             [&book](const Request& request) { return overview(book, request); },
             {.action = "retention.read"});
  router.put("/v1/device-classes/{device_type}/retention", http::Access::role(auth::Role::kAdmin),
             [&book, audit = std::move(audit)](const Request& request) {
               return set_policy(book, audit, request);
             },
             {.action = "retention.assign"});
}

}  // namespace sluice::tsdb
