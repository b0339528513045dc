// What is read for those at the door: who a credential may belong to, with all that decides whether
// it opens, in one statement however many are asked about.
#include "adapters/postgres_tables.h"
#include "adapters/postgres_transaction.h"

#include <format>

#include <sluice/base/check.h>

namespace sluice::registry {
namespace {

using enum ResourceKind;
using postgres::Param;
using postgres::Row;
using postgres::Rows;
using postgres::Sql;

/// Text whose parts are all this program's own: names of tables, columns and parameters.
Sql trusted(const std::string& text) { return Sql::from_trusted_text(text); }

std::optional<Resource> read_joined(const Row& row, ResourceKind kind, std::string_view prefix) {
  if (row.is_null(std::format("{}tenant", prefix))) return std::nullopt;
  return read_resource(row, kind, prefix);
}

DeviceRecord read_device_record(const Row& row) {
  return {.device = read_resource(row, kDevice, "d_"),
          .device_class = read_joined(row, kDeviceClass, "k_"),
          .topic_policy = read_joined(row, kTopicPolicy, "p_"),
          .is_tenant_active = row.get<bool>("is_tenant_active")};
}

/// A device with all that decides what it may do, in one statement: `d` is the device.
const std::string kDeviceJoins =
    " JOIN tenants AS t ON t.tenant_id = d.tenant_id"
    " LEFT JOIN device_classes AS k ON k.tenant_id = d.tenant_id AND k.device_class_id = "
    "d.device_class"
    " LEFT JOIN topic_policies AS p ON p.tenant_id = k.tenant_id AND p.topic_policy_id = "
    "k.topic_policy_id";

std::string device_columns() {
  constexpr auto kNoMetadata = Table::Metadata::kNull;
  return std::format("{}, {}, {}, t.status = 'active' AS is_tenant_active",
                     table_of(kDevice).columns_of("d", "d_", kNoMetadata),
                     table_of(kDeviceClass).columns_of("k", "k_", kNoMetadata),
                     table_of(kTopicPolicy).columns_of("p", "p_", kNoMetadata));
}

/// The parts of a search as SQL: parameters, or columns of a table of searches.
struct SearchParts {
  std::string_view exact;  // the first lookup key, and the second or the first again
  std::string_view other;
  std::string_view serial;
  std::string_view issuer;
  std::string_view claimed;
  std::string_view tenant{};  // empty: of any
};

/// What one search finds.
std::string candidates_of(const SearchParts& search) {
  // The tenant is not "any or this one" in one condition: so it is looked up in the index, and
  // others' rows are not even read.
  const std::string tenant =
      search.tenant.empty() ? std::string() : std::format("AND c.tenant_id = {} ", search.tenant);
  // Those first that refusal_of() in core/door.cpp would let in.
  return std::format(
      "SELECT {0}, c.salt, c.secret_hash, c.sealed_secret, c.public_key, c.lookup_key, "
      "c.expires_at IS NOT NULL AND c.expires_at <= now() AS is_expired, {1} "
      "FROM credentials AS c JOIN devices AS d ON d.device_id = c.device_id AND d.tenant_id = "
      "c.tenant_id{2} "
      "WHERE c.lookup_key IN ({3}, {4}) AND (c.serial IS NULL OR c.serial = {5}) "
      "AND (c.issuer IS NULL OR c.issuer = {6}) {8}"
      "ORDER BY c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > now()) "
      "AND d.status = 'active' AND t.status = 'active' "
      "AND ({7} = '' OR d.device_id::text = {7} OR coalesce(d.external_id = {7}, false)) DESC, "
      "c.lookup_key = {3} DESC LIMIT {9}",
      table_of(kCredential).columns_of("c", "c_"), device_columns(), kDeviceJoins, search.exact,
      search.other, search.serial, search.issuer, search.claimed, tenant, kMaxFoundCredentials);
}

/// What each of several searches finds. A function of its own for each, so that a search costs what
/// it costs alone; the arrays come through SELECTs, or the plan would be made anew for each number
/// of searches, which takes longer than carrying it out.
std::string candidates_of_each() {
  const SearchParts parts{"q.exact", "q.other", "q.serial", "q.issuer", "q.claimed"};
  SearchParts with_tenant = parts;
  with_tenant.tenant = "q.tenant";
  return std::format(
      "WITH q AS MATERIALIZED (SELECT * FROM unnest((SELECT $1::bigint[]), (SELECT $2::text[]), "
      "(SELECT $3::text[]), (SELECT $4::text[]), (SELECT $5::text[]), (SELECT $6::text[]), "
      "(SELECT $7::text[])) AS u (place, exact, other, serial, issuer, claimed, tenant)) "
      "SELECT q.place, f.* FROM q CROSS JOIN LATERAL ({}) AS f WHERE q.tenant = '' "
      "UNION ALL "
      "SELECT q.place, f.* FROM q CROSS JOIN LATERAL ({}) AS f WHERE q.tenant <> ''",
      candidates_of(parts), candidates_of(with_tenant));
}

CredentialRecord read_candidate(const Row& row) {
  CredentialRecord record;
  record.credential = read_resource(row, kCredential, "c_");
  record.secrets = {.lookup_key = row.get<std::string>("lookup_key"),
                    .salt = row.optional_bytes("salt").value_or(""),
                    .secret_hash = row.optional_bytes("secret_hash").value_or(""),
                    .sealed_secret = row.optional_bytes("sealed_secret").value_or(""),
                    .public_key = row.get<std::optional<std::string>>("public_key").value_or("")};
  record.is_expired = row.get<bool>("is_expired");
  record.device = read_device_record(row);
  return record;
}

Result<Rows> find_one(postgres::Transaction& sql, const CredentialSearch& search) {
  SearchParts parts{"$1", "$2", "$3", "$4", "$5"};
  static const std::string kOfAny = candidates_of(parts);
  parts.tenant = "$6";
  static const std::string kOfOne = candidates_of(parts);
  std::vector<Param> params{search.lookup_keys.front(), search.lookup_keys.back(), search.serial,
                            search.issuer, search.claimed_device};
  if (!search.tenant.empty()) params.emplace_back(search.tenant);
  return sql.query(trusted(search.tenant.empty() ? kOfAny : kOfOne), params);
}

Result<Rows> find_each(postgres::Transaction& sql, std::span<const CredentialSearch> searches,
                       const std::vector<std::int64_t>& places) {
  static const std::string kOfEach = candidates_of_each();
  std::vector<std::string> exact;
  std::vector<std::string> other;
  std::vector<std::string> serial;
  std::vector<std::string> issuer;
  std::vector<std::string> claimed;
  std::vector<std::string> tenant;
  for (const std::int64_t place : places) {
    const CredentialSearch& search = searches[static_cast<std::size_t>(place)];
    exact.push_back(search.lookup_keys.front());
    other.push_back(search.lookup_keys.back());
    serial.push_back(search.serial);
    issuer.push_back(search.issuer);
    claimed.push_back(search.claimed_device);
    tenant.push_back(search.tenant);
  }
  return sql.query(trusted(kOfEach), {places, exact, other, serial, issuer, claimed, tenant});
}

}  // namespace

Result<DeviceRecord> PostgresTransaction::device_record(std::string_view device_id) {
  static const std::string kSelect =
      std::format("SELECT {} FROM devices AS d{} WHERE d.tenant_id = $1 AND d.device_id = $2",
                  device_columns(), kDeviceJoins);
  SLUICE_TRY_ASSIGN(const Rows rows, sql_.query(trusted(kSelect), {scope_, device_id}));
  const auto row = rows.optional();
  if (!row) return fail(ErrorCode::kNotFound, "no such device");
  return read_device_record(*row);
}

Result<std::vector<std::string>> PostgresTransaction::active_credential_ids(
    std::string_view device_id) {
  SLUICE_TRY_ASSIGN(
      const Rows rows,
      sql_.query("SELECT credential_id FROM credentials WHERE tenant_id = $1 AND device_id = $2 "
                 "AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) "
                 "ORDER BY credential_id",
                 {scope_, device_id}));
  std::vector<std::string> ids;
  for (const Row& row : rows) ids.push_back(row.get<std::string>("credential_id"));
  return ids;
}

Result<std::vector<std::vector<CredentialRecord>>> PostgresTransaction::find_credentials(
    std::span<const CredentialSearch> searches) {
  std::vector<std::vector<CredentialRecord>> found(searches.size());
  std::vector<std::int64_t> places;  // of those that may find something
  for (std::size_t place = 0; place < searches.size(); ++place) {
    SLUICE_CHECK(searches[place].lookup_keys.size() <= 2);
    if (!searches[place].lookup_keys.empty()) places.push_back(static_cast<std::int64_t>(place));
  }
  if (places.empty()) return found;
  if (places.size() == 1) {
    const auto place = static_cast<std::size_t>(places.front());
    SLUICE_TRY_ASSIGN(const Rows rows, find_one(sql_, searches[place]));
    for (const Row& row : rows) found[place].push_back(read_candidate(row));
    return found;
  }
  SLUICE_TRY_ASSIGN(const Rows rows, find_each(sql_, searches, places));
  for (const Row& row : rows) {
    found[static_cast<std::size_t>(row.get<std::int64_t>("place"))].push_back(read_candidate(row));
  }
  return found;
}

Result<std::optional<ApiKeyRecord>> PostgresTransaction::find_api_key(std::string_view id) {
  static const std::string kSelect = std::format(
      "SELECT {}, k.salt, k.secret_hash, k.revoked_at IS NOT NULL AS is_revoked, "
      "k.expires_at IS NOT NULL AND k.expires_at <= now() AS is_expired, t.status = 'active' AS "
      "is_tenant_active "
      "FROM api_keys AS k JOIN tenants AS t ON t.tenant_id = k.tenant_id WHERE k.key_id = $1",
      table_of(kApiKey).columns_of("k", ""));
  SLUICE_TRY_ASSIGN(const Rows rows, sql_.query(trusted(kSelect), {id}));
  const auto row = rows.optional();
  if (!row) return std::optional<ApiKeyRecord>();
  return std::optional(ApiKeyRecord{.key = read_resource(*row, kApiKey),
                                    .salt = row->bytes("salt"),
                                    .secret_hash = row->bytes("secret_hash"),
                                    .is_expired = row->get<bool>("is_expired"),
                                    .is_revoked = row->get<bool>("is_revoked"),
                                    .is_tenant_active = row->get<bool>("is_tenant_active")});
}

}  // namespace sluice::registry
