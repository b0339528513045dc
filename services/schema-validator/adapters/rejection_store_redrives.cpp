// Re-drives: selections of rejected messages that are sent once more.
#include "adapters/rejection_store.h"
#include "adapters/rejection_store_inside.h"

#include <utility>

#include <sluice/audit/trail.h>
#include <sluice/postgres/transaction.h>

namespace sluice::validator {
namespace {

using postgres::BytesView;
using postgres::JsonView;
using postgres::Row;
using postgres::Rows;

/// A cursor as its columns, all of them NULL before the first message.
struct Cursor {
  explicit Cursor(const std::optional<RejectionPlace>& place) {
    if (!place) return;
    at = place->rejected_at;
    partition = place->partition;
    offset = place->offset;
  }
  std::optional<WallTime> at{};
  std::optional<std::int32_t> partition{};
  std::optional<std::int64_t> offset{};
};

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

Result<> RejectionStore::advance_redrive(const Redrive& redrive,
                                         const std::optional<RejectionPlace>& from) {
  const Cursor before(from);
  const Cursor after(redrive.cursor);
  return postgres::run_transaction(
      pool_, {.tenant = TenantId(redrive.tenant)}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY_ASSIGN(
            const std::int64_t advanced,
            sql.execute("UPDATE redrives SET state = $3, reason = $4, sent = $5, missing = $6, "
                        "cursor_at = $7, cursor_part = $8, cursor_offset = $9, "
                        "updated_at = clock_timestamp(), "
                        "finished_at = CASE WHEN $3 = 'running' THEN NULL ELSE now() END "
                        "WHERE tenant_id = $1 AND redrive_id = $2 AND state = 'running' "
                        "AND cursor_part IS NOT DISTINCT FROM $10::integer "
                        "AND cursor_offset IS NOT DISTINCT FROM $11::bigint",
                        {redrive.tenant, redrive.redrive_id, redrive.state, redrive.reason,
                         redrive.sent, redrive.missing, after.at, after.partition, after.offset,
                         before.partition, before.offset}));
        if (advanced == 1) return {};
        return fail(Error(ErrorCode::kAborted, "another instance is ahead with this re-drive")
                        .with_reason("redrive_moved"));
      });
}

}  // namespace sluice::validator
