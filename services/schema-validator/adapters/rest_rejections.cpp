#include "adapters/rest_rejections.h"

#include "adapters/redriver.h"

#include <charconv>
#include <format>
#include <string>
#include <utility>

#include <sluice/base/encoding.h>
#include <sluice/http/json_reader.h>
#include <sluice/http/page.h>
#include <sluice/http/query_reader.h>
#include <sluice/json/json.h>
#include <sluice/telemetry/v1/rejected_message.pb.h>

#include <nlohmann/json.hpp>

namespace sluice::validator {
namespace {

using auth::Role;
using http::Access;
using http::Request;
using http::Response;
using Json = nlohmann::json;

constexpr std::int64_t kMaxGroups = 500;

std::string id_of(const RejectionPlace& place) {
  return std::format("{}-{}", place.partition, place.offset);
}

std::optional<std::pair<std::int32_t, std::int64_t>> parse_place(std::string_view id) {
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  const char* const end = id.data() + id.size();
  const auto first = std::from_chars(id.data(), end, partition);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, offset);
  if (second.ec != std::errc() || second.ptr != end || partition < 0 || offset < 0) {
    return std::nullopt;
  }
  return std::pair(partition, offset);
}

Json to_json(const RejectionRow& row) {
  Json json{{"rejection_id", id_of(row.place)},
            {"rejected_at", format_rfc3339(row.place.rejected_at)},
            {"device_id", row.device_id},
            {"reason", row.reason},
            {"detail", row.detail},
            {"pointer", row.pointer},
            {"schema_id", row.schema_id},
            {"schema_version", row.schema_version}};
  if (row.message_id) json["message_id"] = row.message_id->to_string();
  if (row.received_at) json["received_at"] = format_rfc3339(*row.received_at);
  return json;
}

Json to_json(const Redrive& redrive) {
  Json json{{"redrive_id", redrive.redrive_id},
            {"state", redrive.state},
            {"selection", Json::parse(redrive.selection, nullptr, false)},
            {"selected", redrive.selected},
            {"sent", redrive.sent},
            {"missing", redrive.missing},
            {"created_at", format_rfc3339(redrive.created_at)}};
  if (redrive.reason) json["reason"] = *redrive.reason;
  if (redrive.finished_at) json["finished_at"] = format_rfc3339(*redrive.finished_at);
  return json;
}

RejectionSelection selection_of(http::QueryReader& query) {
  return {.from = query.time("from"),
          .to = query.time("to"),
          .reason = query.text("reason"),
          .pointer = query.text("pointer", 1024),
          .schema_id = query.text("schema_id"),
          .device_id = query.text("device_id")};
}

/// A page's end: three texts.
std::vector<std::string> cursor_of(const RejectionPlace& place) {
  return {format_rfc3339(place.rejected_at), std::to_string(place.partition),
          std::to_string(place.offset)};
}

Result<std::optional<RejectionPlace>> place_of(const http::PageRequest& page) {
  if (page.after.empty()) return std::optional<RejectionPlace>();
  RejectionPlace place;
  SLUICE_TRY_ASSIGN(place.rejected_at, parse_rfc3339(page.after[0]));
  const auto parsed = parse_place(page.after[1] + "-" + page.after[2]);
  if (!parsed) return fail(ErrorCode::kInvalidArgument, "page_token is none of ours");
  place.partition = parsed->first;
  place.offset = parsed->second;
  return std::optional(place);
}

Result<Response> list(const RestParts& parts, const Request& request) {
  http::QueryReader query(request);
  const RejectionSelection selection = selection_of(query);
  const http::PageRequest page = http::read_page(query, request, 3);
  SLUICE_TRY(query.finish());
  SLUICE_TRY_ASSIGN(const auto after, place_of(page));
  SLUICE_TRY_ASSIGN(auto rows,
                    parts.rejections.list(request.tenant(), selection, after, page.size + 1));
  std::vector<std::string> next;
  if (rows.size() > static_cast<std::size_t>(page.size)) {
    rows.resize(static_cast<std::size_t>(page.size));
    next = cursor_of(rows.back().place);
  }
  Json items = Json::array();
  for (const RejectionRow& row : rows) items.push_back(to_json(row));
  return http::list_response(request, std::move(items), next);
}

/// With the original bytes, as long as Kafka has them.
Result<Response> get(const RestParts& parts, const Request& request) {
  http::QueryReader query(request);
  SLUICE_TRY(query.finish());
  const auto place = parse_place(request.param("rejection_id"));
  if (!place) return fail(ErrorCode::kNotFound, "no such rejected message");
  SLUICE_TRY_ASSIGN(const RejectionRow row,
                    parts.rejections.find(request.tenant(), place->first, place->second));
  std::optional<std::string> bytes;
  {
    const std::lock_guard lock(parts.reader_mutex);
    SLUICE_TRY_ASSIGN(bytes,
                      read_rejected(parts.reader, place->first, place->second, parts.read_timeout));
  }
  Json json = to_json(row);
  telemetry::v1::RejectedMessage message;
  // The topic may have been made anew meanwhile: another tenant's record could lie there now.
  if (bytes && message.ParseFromString(*bytes) &&
      message.rejected_at_ms() == row.place.rejected_at.time_since_epoch().count() &&
      (message.raw().tenant().empty() || message.raw().tenant() == request.tenant().value())) {
    const telemetry::v1::RawMessage& raw = message.raw();
    json["payload_base64url"] = to_base64url(raw.payload());
    json["content_type"] = raw.content_type();
    json["content_encoding"] = raw.content_encoding();
    json["topic"] = raw.topic();
    json["source_partition"] = message.source_partition();
    json["source_offset"] = message.source_offset();
  }
  return Response::json(json);
}

Result<Response> groups(const RestParts& parts, const Request& request) {
  http::QueryReader query(request);
  const RejectionSelection selection = selection_of(query);
  SLUICE_TRY(query.finish());
  SLUICE_TRY_ASSIGN(const auto found,
                    parts.rejections.groups(request.tenant(), selection, kMaxGroups));
  Json items = Json::array();
  for (const RejectionGroup& group : found) {
    items.push_back({{"reason", group.reason},
                     {"schema_id", group.schema_id},
                     {"pointer", group.pointer},
                     {"messages", group.count},
                     {"devices", group.devices},
                     {"first_at", format_rfc3339(group.first_at)},
                     {"last_at", format_rfc3339(group.last_at)}});
  }
  return Response::json({{"items", std::move(items)}});
}

Result<Response> begin_redrive(const RestParts& parts, const Request& request) {
  http::QueryReader query(request);
  SLUICE_TRY(query.finish());
  SLUICE_TRY_ASSIGN(const Json body, request.json());
  http::JsonReader reader(body);
  RejectionStore::NewRedrive redrive{.tenant = request.tenant(),
                                     .redrive_id = reader.id("redrive_id"),
                                     .selection = {},
                                     .selection_json = {},
                                     .max_messages = parts.redrive_max,
                                     .by = request.principal().identity(),
                                     .traceparent = request.trace.traceparent(),
                                     .audit = {},
                                     .is_dry_run = request.is_dry_run};
  reader.object("selection", [&](http::JsonReader& in) {
    RejectionSelection& selection = redrive.selection;
    selection.from = in.optional_time("from");
    // Without an end a message that fails again would be selected again.
    selection.to = in.time("to");
    selection.reason = in.optional_text("reason", {.max_size = 64});
    selection.pointer = in.optional_text("pointer", {.min_size = 0, .max_size = 1024});
    selection.schema_id = in.optional_text("schema_id", {.min_size = 0, .max_size = 64});
    selection.device_id = in.optional_text("device_id", {.max_size = 64});
  });
  SLUICE_TRY(reader.finish());
  redrive.selection_json = validator::to_json(redrive.selection);
  redrive.audit = parts.audit.done(
      request, {.action = "redrive.begin", .target = "redrive/" + redrive.redrive_id});
  SLUICE_TRY_ASSIGN(const Redrive begun, parts.rejections.begin_redrive(redrive));
  if (request.is_dry_run) return Response::json(to_json(begun));
  return Response::accepted(to_json(begun), "/v1/redrives/" + begun.redrive_id);
}

}  // namespace

void add_rejections(http::Router& router, const RestParts& parts) {
  const auto route = [&parts](Result<Response> (*handler)(const RestParts&, const Request&)) {
    return [parts, handler](const Request& request) { return handler(parts, request); };
  };
  router.get("/v1/rejections", Access::role(Role::kViewer), route(list));
  router.get("/v1/rejections/{rejection_id}", Access::role(Role::kViewer), route(get));
  router.get("/v1/rejection-groups", Access::role(Role::kViewer), route(groups));
  router.post("/v1/redrives", Access::role(Role::kOperator), route(begin_redrive),
              {.action = "redrive.begin"});
  router.get("/v1/redrives", Access::role(Role::kViewer),
             [parts](const Request& request) -> Result<Response> {
               http::QueryReader query(request);
               const http::PageRequest page = http::read_page(query, request, 1);
               SLUICE_TRY(query.finish());
               SLUICE_TRY_ASSIGN(
                   auto rows,
                   parts.rejections.list_redrives(
                       request.tenant(), page.after.empty() ? "" : page.after[0], page.size + 1));
               std::vector<std::string> next;
               if (rows.size() > static_cast<std::size_t>(page.size)) {
                 rows.resize(static_cast<std::size_t>(page.size));
                 next = {rows.back().redrive_id};
               }
               Json items = Json::array();
               for (const Redrive& row : rows) items.push_back(to_json(row));
               return http::list_response(request, std::move(items), next);
             });
  router.get("/v1/redrives/{redrive_id}", Access::role(Role::kViewer),
             [parts](const Request& request) -> Result<Response> {
               http::QueryReader query(request);
               SLUICE_TRY(query.finish());
               SLUICE_TRY_ASSIGN(
                   const Redrive redrive,
                   parts.rejections.find_redrive(request.tenant(), request.param("redrive_id")));
               return Response::json(to_json(redrive));
             });
}

}  // namespace sluice::validator
