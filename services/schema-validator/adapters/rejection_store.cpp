#include "adapters/rejection_store.h"

#include <algorithm>
#include <set>
#include <utility>

#include <sluice/audit/trail.h>
#include <sluice/http/idempotency.h>
#include <sluice/json/json.h>
#include <sluice/postgres/transaction.h>

#include <nlohmann/json.hpp>

namespace sluice::validator {
namespace {

using Json = nlohmann::json;
using postgres::BytesView;
using postgres::JsonView;
using postgres::Row;
using postgres::Rows;

constexpr std::chrono::seconds kSlowQuery{10};

#define SLUICE_SELECTED                                                                      \
  "tenant_id = $1 AND ($2::timestamptz IS NULL OR rejected_at >= $2) "                       \
  "AND ($3::timestamptz IS NULL OR rejected_at < $3) AND ($4::text IS NULL OR reason = $4) " \
  "AND ($5::text IS NULL OR pointer = $5) AND ($6::text IS NULL OR schema_id = $6) "         \
  "AND ($7::text IS NULL OR device_id = $7) "

RejectionRow read_rejection(const Row& row) {
  return {.place = {.rejected_at = row.get<WallTime>("rejected_at"),
                    .partition = row.get<std::int32_t>("kafka_partition"),
                    .offset = row.get<std::int64_t>("kafka_offset")},
          .tenant = row.get<std::string>("tenant_id"),
          .device_id = row.get<std::string>("device_id"),
          .message_id = row.get<std::optional<Uuid>>("message_id"),
          .received_at = row.get<std::optional<WallTime>>("received_at"),
          .reason = row.get<std::string>("reason"),
          .detail = row.get<std::string>("detail"),
          .pointer = row.get<std::string>("pointer"),
          .schema_id = row.get<std::string>("schema_id"),
          .schema_version = row.get<std::string>("schema_version")};
}

Redrive read_redrive(const Row& row) {
  Redrive redrive{.tenant = row.get<std::string>("tenant_id"),
                  .redrive_id = row.get<std::string>("redrive_id"),
                  .selection = row.get<std::string>("selection"),
                  .state = row.get<std::string>("state"),
                  .reason = row.get<std::optional<std::string>>("reason"),
                  .selected = row.get<std::int64_t>("selected"),
                  .sent = row.get<std::int64_t>("sent"),
                  .missing = row.get<std::int64_t>("missing"),
                  .cursor = {},
                  .created_at = row.get<WallTime>("created_at"),
                  .finished_at = row.get<std::optional<WallTime>>("finished_at")};
  if (!row.is_null("cursor_at")) {
    redrive.cursor = {.rejected_at = row.get<WallTime>("cursor_at"),
                      .partition = row.get<std::int32_t>("cursor_part"),
                      .offset = row.get<std::int64_t>("cursor_offset")};
  }
  return redrive;
}

}  // namespace

Result<> RejectionStore::insert(std::span<const RejectionRow> rows) {
  std::set<std::chrono::sys_days> days;
  for (const RejectionRow& row : rows) {
    days.insert(std::chrono::floor<std::chrono::days>(row.place.rejected_at));
  }
  return postgres::run_transaction(
      pool_, {.all_tenants = true}, [&](postgres::Transaction& sql) -> Result<> {
        for (const auto day : days) {
          SLUICE_TRY(
              sql.query("SELECT make_rejections_day(($1::timestamptz AT TIME ZONE 'UTC')"
                        "::date)",
                        {WallTime(day)}));
        }
        for (const RejectionRow& row : rows) {
          SLUICE_TRY(sql.execute(
              "INSERT INTO rejections (tenant_id, rejected_at, kafka_partition, kafka_offset, "
              "device_id, message_id, received_at, reason, detail, pointer, schema_id, "
              "schema_version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) "
              "ON CONFLICT DO NOTHING",
              {row.tenant, row.place.rejected_at, row.place.partition, row.place.offset,
               row.device_id, row.message_id, row.received_at, row.reason, row.detail, row.pointer,
               row.schema_id, row.schema_version}));
        }
        return {};
      });
}

Result<std::int64_t> RejectionStore::drop_before(WallTime time) {
  return postgres::transaction(
      pool_, {.all_tenants = true}, [&](postgres::Transaction& sql) -> Result<std::int64_t> {
        SLUICE_TRY_ASSIGN(const Rows rows,
                          sql.query("SELECT drop_rejections_before(($1::timestamptz AT TIME ZONE "
                                    "'UTC')::date)::bigint AS dropped",
                                    {time}));
        return rows.one().get<std::int64_t>("dropped");
      });
}

Result<std::vector<RejectionRow>> RejectionStore::list(const TenantId& tenant,
                                                       const RejectionSelection& selection,
                                                       const std::optional<RejectionPlace>& after,
                                                       std::int64_t limit) {
  return postgres::transaction(
      pool_, {.tenant = tenant, .read_only = true, .timeout = kSlowQuery},
      [&](postgres::Transaction& sql) -> Result<std::vector<RejectionRow>> {
        const RejectionPlace place = after.value_or(RejectionPlace{});
        SLUICE_TRY_ASSIGN(
            const Rows rows,
            sql.query("SELECT * FROM rejections WHERE " SLUICE_SELECTED
                      "AND ($8 OR (rejected_at, kafka_partition, kafka_offset) > "
                      "($9::timestamptz, $10::integer, $11::bigint)) "
                      "ORDER BY rejected_at, kafka_partition, kafka_offset LIMIT $12",
                      {tenant, selection.from, selection.to, selection.reason, selection.pointer,
                       selection.schema_id, selection.device_id, !after.has_value(),
                       place.rejected_at, place.partition, place.offset, limit}));
        std::vector<RejectionRow> out;
        out.reserve(rows.size());
        for (const Row& row : rows) out.push_back(read_rejection(row));
        return out;
      });
}

Result<std::vector<RejectionRow>> RejectionStore::list_in_log_order(
    const TenantId& tenant, const RejectionSelection& selection,
    const std::optional<RejectionPlace>& after, std::int64_t limit) {
  return postgres::transaction(
      pool_, {.tenant = tenant, .read_only = true, .timeout = kSlowQuery},
      [&](postgres::Transaction& sql) -> Result<std::vector<RejectionRow>> {
        const RejectionPlace place = after.value_or(RejectionPlace{.partition = -1});
        SLUICE_TRY_ASSIGN(
            const Rows rows,
            sql.query(
                "SELECT * FROM rejections WHERE " SLUICE_SELECTED
                "AND (kafka_partition, kafka_offset) > ($8::integer, $9::bigint) "
                "ORDER BY kafka_partition, kafka_offset LIMIT $10",
                {tenant, selection.from, selection.to, selection.reason, selection.pointer,
                 selection.schema_id, selection.device_id, place.partition, place.offset, limit}));
        std::vector<RejectionRow> out;
        out.reserve(rows.size());
        for (const Row& row : rows) out.push_back(read_rejection(row));
        return out;
      });
}

Result<RejectionRow> RejectionStore::find(const TenantId& tenant, std::int32_t partition,
                                          std::int64_t offset) {
  return postgres::transaction(pool_, {.tenant = tenant, .read_only = true, .timeout = kSlowQuery},
                               [&](postgres::Transaction& sql) -> Result<RejectionRow> {
                                 SLUICE_TRY_ASSIGN(
                                     const Rows rows,
                                     sql.query("SELECT * FROM rejections WHERE tenant_id = $1 AND "
                                               "kafka_partition = $2 AND kafka_offset = $3 "
                                               "ORDER BY rejected_at DESC LIMIT 1",
                                               {tenant, partition, offset}));
                                 const auto row = rows.optional();
                                 if (!row)
                                   return fail(ErrorCode::kNotFound, "no such rejected message");
                                 return read_rejection(*row);
                               });
}

Result<std::vector<RejectionGroup>> RejectionStore::groups(const TenantId& tenant,
                                                           const RejectionSelection& selection,
                                                           std::int64_t limit) {
  return postgres::transaction(
      pool_, {.tenant = tenant, .read_only = true, .timeout = kSlowQuery},
      [&](postgres::Transaction& sql) -> Result<std::vector<RejectionGroup>> {
        SLUICE_TRY_ASSIGN(
            const Rows rows,
            sql.query("SELECT reason, schema_id, pointer, count(*) AS messages, "
                      "count(DISTINCT device_id) AS devices, min(rejected_at) AS first_at, "
                      "max(rejected_at) AS last_at FROM rejections WHERE " SLUICE_SELECTED
                      "GROUP BY reason, schema_id, pointer "
                      "ORDER BY messages DESC, reason, schema_id, pointer LIMIT $8",
                      {tenant, selection.from, selection.to, selection.reason, selection.pointer,
                       selection.schema_id, selection.device_id, limit}));
        std::vector<RejectionGroup> out;
        for (const Row& row : rows) {
          out.push_back({.reason = row.get<std::string>("reason"),
                         .schema_id = row.get<std::string>("schema_id"),
                         .pointer = row.get<std::string>("pointer"),
                         .count = row.get<std::int64_t>("messages"),
                         .devices = row.get<std::int64_t>("devices"),
                         .first_at = row.get<WallTime>("first_at"),
                         .last_at = row.get<WallTime>("last_at")});
        }
        return out;
      });
}

// --- Re-drives

Result<Redrive> RejectionStore::begin_redrive(const NewRedrive& redrive) {
  std::optional<Redrive> dry;
  auto begun_or_not = postgres::transaction(
      pool_, {.tenant = redrive.tenant, .timeout = kSlowQuery},
      [&](postgres::Transaction& sql) -> Result<Redrive> {
        const RejectionSelection& s = redrive.selection;
        SLUICE_TRY_ASSIGN(
            const Rows inserted,
            sql.query("INSERT INTO redrives (tenant_id, redrive_id, selection, selected, "
                      "requested_by) SELECT $1, $8, $9, count(*), $10 FROM (SELECT FROM rejections "
                      "WHERE " SLUICE_SELECTED
                      "LIMIT $11) AS counted ON CONFLICT DO NOTHING RETURNING *",
                      {redrive.tenant, s.from, s.to, s.reason, s.pointer, s.schema_id, s.device_id,
                       redrive.redrive_id, JsonView{redrive.selection_json}, redrive.by,
                       redrive.max_messages + 1}));
        if (const auto row = inserted.optional()) {
          Redrive begun = read_redrive(*row);
          if (begun.selected > redrive.max_messages) {
            return fail(Error(ErrorCode::kFailedPrecondition,
                              "the selection has more than " +
                                  std::to_string(redrive.max_messages) + " messages")
                            .with_reason("too_many_messages"));
          }
          if (redrive.is_dry_run) {
            dry = std::move(begun);
            return fail(ErrorCode::kAborted, "a dry run is undone");
          }
          SLUICE_TRY(sql.execute(
              "INSERT INTO outbox (topic, key, value, traceparent) VALUES ($1, $2, $3, $4)",
              {audit::kTopic, redrive.tenant.value(), BytesView{redrive.audit},
               redrive.traceparent}));
          return begun;
        }
        SLUICE_TRY_ASSIGN(
            const Rows found,
            sql.query("SELECT *, selection = $3::jsonb AS is_same FROM redrives "
                      "WHERE tenant_id = $1 AND redrive_id = $2",
                      {redrive.tenant, redrive.redrive_id, JsonView{redrive.selection_json}}));
        if (!found.one().get<bool>("is_same")) {
          return fail(Error(ErrorCode::kAlreadyExists,
                            "there is a re-drive of that id with another selection")
                          .with_fault("/redrive_id", "is taken"));
        }
        return read_redrive(found.one());
      });
  if (dry) return *std::move(dry);
  return begun_or_not;
}

Result<Redrive> RejectionStore::find_redrive(const TenantId& tenant, std::string_view redrive_id) {
  return postgres::transaction(
      pool_, {.tenant = tenant, .read_only = true},
      [&](postgres::Transaction& sql) -> Result<Redrive> {
        SLUICE_TRY_ASSIGN(
            const Rows rows,
            sql.query("SELECT * FROM redrives WHERE tenant_id = $1 AND redrive_id = $2",
                      {tenant, redrive_id}));
        const auto row = rows.optional();
        if (!row) return fail(ErrorCode::kNotFound, "no such re-drive");
        return read_redrive(*row);
      });
}

Result<std::vector<Redrive>> RejectionStore::list_redrives(const TenantId& tenant,
                                                           std::string_view after,
                                                           std::int64_t limit) {
  return postgres::transaction(pool_, {.tenant = tenant, .read_only = true},
                               [&](postgres::Transaction& sql) -> Result<std::vector<Redrive>> {
                                 SLUICE_TRY_ASSIGN(
                                     const Rows rows,
                                     sql.query("SELECT * FROM redrives WHERE tenant_id = $1 AND "
                                               "redrive_id > $2 ORDER BY redrive_id LIMIT $3",
                                               {tenant, after, limit}));
                                 std::vector<Redrive> out;
                                 for (const Row& row : rows) out.push_back(read_redrive(row));
                                 return out;
                               });
}

Result<std::optional<Redrive>> RejectionStore::next_redrive() {
  return postgres::transaction(
      pool_, {.all_tenants = true, .read_only = true},
      [&](postgres::Transaction& sql) -> Result<std::optional<Redrive>> {
        SLUICE_TRY_ASSIGN(const Rows rows, sql.query("SELECT * FROM redrives WHERE state = "
                                                     "'running' ORDER BY updated_at LIMIT 1"));
        const auto row = rows.optional();
        if (!row) return std::optional<Redrive>();
        return std::optional(read_redrive(*row));
      });
}

Result<> RejectionStore::advance_redrive(const Redrive& redrive) {
  return postgres::run_transaction(
      pool_, {.tenant = TenantId(redrive.tenant)}, [&](postgres::Transaction& sql) -> Result<> {
        std::optional<WallTime> at;
        std::optional<std::int32_t> partition;
        std::optional<std::int64_t> offset;
        if (redrive.cursor) {
          at = redrive.cursor->rejected_at;
          partition = redrive.cursor->partition;
          offset = redrive.cursor->offset;
        }
        SLUICE_TRY(sql.execute(
            "UPDATE redrives SET state = $3, reason = $4, sent = $5, missing = $6, "
            "cursor_at = $7, cursor_part = $8, cursor_offset = $9, updated_at = clock_timestamp(), "
            "finished_at = CASE WHEN $3 = 'running' THEN NULL ELSE now() END "
            "WHERE tenant_id = $1 AND redrive_id = $2",
            {redrive.tenant, redrive.redrive_id, redrive.state, redrive.reason, redrive.sent,
             redrive.missing, at, partition, offset}));
        return {};
      });
}

Result<> RejectionStore::sweep_answers() {
  constexpr auto kLife = std::chrono::seconds(http::kIdempotencyKeyLife).count();
  return postgres::run_transaction(pool_, {.all_tenants = true},
                                   [&](postgres::Transaction& sql) -> Result<> {
                                     SLUICE_TRY(
                                         sql.execute("DELETE FROM answers WHERE begun_at < now() - "
                                                     "make_interval(secs => $1)",
                                                     {static_cast<double>(kLife)}));
                                     return {};
                                   });
}

std::string to_json(const RejectionSelection& selection) {
  Json json = Json::object();
  const auto put = [&json](const char* name, const std::optional<std::string>& value) {
    if (value) json[name] = *value;
  };
  if (selection.from) json["from"] = format_rfc3339(*selection.from);
  if (selection.to) json["to"] = format_rfc3339(*selection.to);
  put("reason", selection.reason);
  put("pointer", selection.pointer);
  put("schema_id", selection.schema_id);
  put("device_id", selection.device_id);
  return to_json_text(json);
}

Result<RejectionSelection> parse_selection(std::string_view text) {
  SLUICE_TRY_ASSIGN(const Json json, parse_json_object(text));
  RejectionSelection selection;
  const auto take = [&json](const char* name) -> std::optional<std::string> {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_string()) return std::nullopt;
    return found->get<std::string>();
  };
  if (const auto from = take("from")) {
    SLUICE_TRY_ASSIGN(selection.from, parse_rfc3339(*from));
  }
  if (const auto to = take("to")) {
    SLUICE_TRY_ASSIGN(selection.to, parse_rfc3339(*to));
  }
  selection.reason = take("reason");
  selection.pointer = take("pointer");
  selection.schema_id = take("schema_id");
  selection.device_id = take("device_id");
  return selection;
}

}  // namespace sluice::validator
