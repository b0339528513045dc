#include "adapters/postgres_presence.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/postgres/transaction.h>

namespace sluice::registry {
namespace {

using postgres::Row;
using postgres::Rows;

/// The changes as parallel arrays, one per column. Arrays hold no nulls here: an absent time is 0,
/// which no event has.
struct Columns {
  std::vector<std::string> tenants, devices, fronts, protocols, credentials, addresses, reasons;
  std::vector<std::int64_t> epochs, begun, ended, seen, provisioned;
};

std::int64_t ms_of(const std::optional<WallTime>& time) {
  return time ? time->time_since_epoch().count() : 0;
}

Columns columns_of(std::span<const PresenceFold::Change* const> changes) {
  Columns columns;
  for (const PresenceFold::Change* change : changes) {
    const auto& [key, told] = *change;
    const SessionBegin begin = told.begin.value_or(SessionBegin());
    const SessionEnd end = told.end.value_or(SessionEnd());
    columns.tenants.push_back(key.tenant);
    columns.devices.push_back(key.device);
    columns.epochs.push_back(static_cast<std::int64_t>(told.session_epoch));
    columns.begun.push_back(told.begin ? ms_of(begin.at) : 0);
    columns.fronts.push_back(begin.front);
    columns.protocols.push_back(begin.protocol);
    columns.credentials.push_back(begin.credential_id);
    columns.addresses.push_back(begin.address);
    columns.ended.push_back(told.end ? ms_of(end.at) : 0);
    columns.reasons.push_back(end.reason);
    columns.seen.push_back(ms_of(told.last_seen_at));
    columns.provisioned.push_back(ms_of(told.provisioned_at));
  }
  return columns;
}

// merge() of core/presence.h in SQL. A device that is being deleted is waited for (FOR KEY SHARE,
// which an operator's change of it does not hold up), and then is not there. Rows that would not
// change are not written: a topic that is read again from its beginning leaves no dead rows.
constexpr postgres::Sql kMerge = R"(
WITH told AS (
  SELECT r.n, r.tenant AS tenant_id, r.device AS device_id, r.epoch AS session_epoch,
         'epoch'::timestamptz + nullif(r.begun, 0) * interval '1 millisecond' AS connected_at,
         r.front, r.protocol, r.credential AS credential_id, r.address,
         'epoch'::timestamptz + nullif(r.ended, 0) * interval '1 millisecond' AS disconnected_at,
         r.reason AS disconnect_reason,
         'epoch'::timestamptz + nullif(r.seen, 0) * interval '1 millisecond' AS last_seen_at,
         'epoch'::timestamptz + nullif(r.provisioned, 0) * interval '1 millisecond' AS provisioned_at
  FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[],
              $8::text[], $9::bigint[], $10::text[], $11::bigint[], $12::bigint[]) WITH ORDINALITY
    AS r (tenant, device, epoch, begun, front, protocol, credential, address, ended, reason, seen,
          provisioned, n)
), known AS MATERIALIZED (
  SELECT t.* FROM told AS t
  JOIN devices AS d ON d.tenant_id = t.tenant_id AND d.device_id = t.device_id
  ORDER BY t.n FOR KEY SHARE OF d
), written AS (
  INSERT INTO device_presence AS p (tenant_id, device_id, session_epoch, connected_at, front, protocol,
    credential_id, address, disconnected_at, disconnect_reason, last_seen_at, provisioned_at)
  SELECT tenant_id, device_id, session_epoch, connected_at, front, protocol, credential_id, address,
    disconnected_at, disconnect_reason, last_seen_at, provisioned_at FROM known ORDER BY n
  ON CONFLICT (tenant_id, device_id) DO UPDATE SET
    session_epoch = greatest(p.session_epoch, EXCLUDED.session_epoch),
    (connected_at, front, protocol, credential_id, address) = (
      SELECT s.connected_at, s.front, s.protocol, s.credential_id, s.address FROM (VALUES
        (p.session_epoch, p.connected_at, p.front, p.protocol, p.credential_id, p.address),
        (EXCLUDED.session_epoch, EXCLUDED.connected_at, EXCLUDED.front, EXCLUDED.protocol,
         EXCLUDED.credential_id, EXCLUDED.address)
      ) AS s (session_epoch, connected_at, front, protocol, credential_id, address)
      ORDER BY s.session_epoch DESC, s.connected_at NULLS LAST, s.front, s.protocol, s.credential_id,
        s.address LIMIT 1),
    (disconnected_at, disconnect_reason) = (
      SELECT s.disconnected_at, s.disconnect_reason FROM (VALUES
        (p.session_epoch, p.disconnected_at, p.disconnect_reason),
        (EXCLUDED.session_epoch, EXCLUDED.disconnected_at, EXCLUDED.disconnect_reason)
      ) AS s (session_epoch, disconnected_at, disconnect_reason)
      ORDER BY s.session_epoch DESC, s.disconnected_at NULLS LAST, s.disconnect_reason LIMIT 1),
    last_seen_at = greatest(p.last_seen_at, EXCLUDED.last_seen_at),
    provisioned_at = least(p.provisioned_at, EXCLUDED.provisioned_at)
  WHERE EXCLUDED.session_epoch > p.session_epoch
    OR EXCLUDED.session_epoch = p.session_epoch AND (
      EXCLUDED.connected_at IS NOT NULL AND (p.connected_at IS NULL
        OR (EXCLUDED.connected_at, EXCLUDED.front, EXCLUDED.protocol, EXCLUDED.credential_id,
            EXCLUDED.address) < (p.connected_at, p.front, p.protocol, p.credential_id, p.address))
      OR EXCLUDED.disconnected_at IS NOT NULL AND (p.disconnected_at IS NULL
        OR (EXCLUDED.disconnected_at, EXCLUDED.disconnect_reason)
           < (p.disconnected_at, p.disconnect_reason)))
    OR EXCLUDED.last_seen_at IS NOT NULL
      AND (p.last_seen_at IS NULL OR EXCLUDED.last_seen_at > p.last_seen_at)
    OR EXCLUDED.provisioned_at IS NOT NULL
      AND (p.provisioned_at IS NULL OR EXCLUDED.provisioned_at < p.provisioned_at)
  RETURNING p.tenant_id, p.device_id
)
SELECT k.n, w.device_id IS NOT NULL AS is_changed FROM known AS k
LEFT JOIN written AS w ON w.tenant_id = k.tenant_id AND w.device_id = k.device_id)";

}  // namespace

Result<std::vector<PresenceOutcome>> PostgresPresence::merge(
    std::span<const PresenceFold::Change* const> changes) {
  SLUICE_CHECK(changes.size() <= kMaxPresenceChanges);
  std::vector<PresenceOutcome> outcomes;
  if (changes.empty()) return outcomes;
  const Columns c = columns_of(changes);
  // All tenants: one batch holds events of many, and a transaction for each would make a restart of
  // the fronts as many commits as there are tenants. The statement takes a device's tenant and id
  // together, as the event has them, whose sender proved the device's identity.
  const auto done = postgres::run_transaction(
      pool_, {.all_tenants = true}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY_ASSIGN(const Rows rows,
                          sql.query(kMerge, {c.tenants, c.devices, c.epochs, c.begun, c.fronts,
                                             c.protocols, c.credentials, c.addresses, c.ended,
                                             c.reasons, c.seen, c.provisioned}));
        outcomes.assign(changes.size(), PresenceOutcome::kUnknownDevice);
        for (const Row& row : rows) {
          const auto place = static_cast<std::size_t>(row.get<std::int64_t>("n") - 1);
          outcomes.at(place) =
              row.get<bool>("is_changed") ? PresenceOutcome::kChanged : PresenceOutcome::kUnchanged;
        }
        return {};
      });
  if (!done) return fail(done.error());
  return outcomes;
}

}  // namespace sluice::registry
