#include "adapters/rejection_store.h"

#include "adapters/rejection_store_inside.h"

#include <set>

#include <sluice/postgres/transaction.h>

namespace sluice::validator {
namespace {

using postgres::Row;
using postgres::Rows;

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

}  // namespace sluice::validator
