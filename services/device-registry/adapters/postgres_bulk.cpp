// What is written by the thousand: one prepared statement per table and batch, its rows as parallel
// arrays. PostgreSQL refuses COPY into tables with row security, and COPY into a temporary table
// with an INSERT from there would write every row twice.

#include "adapters/postgres_transaction.h"
#include "core/attributes.h"
#include "core/json.h"

#include <set>

#include <sluice/base/encoding.h>

namespace sluice::registry {
namespace {

using postgres::Rows;

/// The texts of one column; absent is "", which no column here may hold otherwise.
std::vector<std::string> texts_of(std::span<const NewDevice> devices, std::string_view field) {
  std::vector<std::string> texts;
  texts.reserve(devices.size());
  for (const NewDevice& device : devices) texts.push_back(text_at(device.fields, field));
  return texts;
}

struct Tokens {
  std::vector<std::string> ids, device_ids, lookup_keys, salts, hashes;
};

Tokens tokens_of(std::span<const NewDevice> devices) {
  Tokens tokens;
  for (const NewDevice& device : devices) {
    if (!device.credential) continue;
    tokens.ids.push_back(text_at(*device.credential, "credential_id"));
    tokens.device_ids.push_back(device.id);
    tokens.lookup_keys.push_back(device.secrets.lookup_key);
    tokens.salts.push_back(to_hex(device.secrets.salt));
    tokens.hashes.push_back(to_hex(device.secrets.secret_hash));
  }
  return tokens;
}

}  // namespace

Result<std::vector<std::int64_t>> PostgresTransaction::reserve_revisions(std::size_t count) {
  SLUICE_TRY_ASSIGN(
      const Rows rows,
      sql_.query("SELECT r.now + n AS revision FROM (SELECT next_revision() AS now) AS r, "
                 "generate_series(0, $1::bigint - 1) AS n ORDER BY n",
                 {count}));
  std::vector<std::int64_t> revisions;
  revisions.reserve(count);
  for (const postgres::Row& row : rows) revisions.push_back(row.get<std::int64_t>("revision"));
  return revisions;
}

Result<std::vector<std::string>> PostgresTransaction::existing_external_ids(
    std::span<const std::string> external_ids) {
  SLUICE_TRY_ASSIGN(const Rows rows,
                    sql_.query("SELECT external_id FROM devices WHERE tenant_id = $1 "
                               "AND external_id = ANY ($2::text[]) ORDER BY external_id",
                               {scope_, external_ids}));
  std::vector<std::string> existing;
  existing.reserve(rows.size());
  for (const postgres::Row& row : rows) existing.push_back(row.get<std::string>("external_id"));
  return existing;
}

Result<std::vector<std::string>> PostgresTransaction::existing_device_ids(
    std::span<const std::string> ids) {
  SLUICE_TRY_ASSIGN(const Rows rows,
                    sql_.query("SELECT device_id::text AS id FROM devices WHERE tenant_id = $1 "
                               "AND device_id = ANY ($2::uuid[]) ORDER BY device_id",
                               {scope_, ids}));
  std::vector<std::string> existing;
  for (const postgres::Row& row : rows) existing.push_back(row.get<std::string>("id"));
  return existing;
}

Result<std::vector<std::string>> PostgresTransaction::insert_devices(
    std::span<const NewDevice> devices) {
  std::vector<std::string> ids, metadata, attribute_ids;
  std::vector<std::int64_t> revisions, terms;
  for (const NewDevice& device : devices) {
    ids.push_back(device.id);
    revisions.push_back(device.revision);
    metadata.push_back(device.fields.value("metadata", Json::object()).dump());
    for (const std::int64_t term :
         attribute_terms(device.fields.value("metadata", Json::object()))) {
      attribute_ids.push_back(device.id);
      terms.push_back(term);
    }
  }
  const auto inserted = sql_.execute(
      "INSERT INTO devices (tenant_id, device_id, revision, external_id, fleet_id, device_class, "
      "schema_id, model, "
      "firmware_version, status, metadata) "
      "SELECT $1, r.id, r.revision, r.external_id, nullif(r.fleet, ''), r.class, nullif(r.schema, "
      "''), "
      "nullif(r.model, ''), nullif(r.firmware, ''), r.status, r.metadata::jsonb "
      "FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], "
      "$8::text[], $9::text[], "
      "$10::text[], $11::text[]) "
      "AS r (id, revision, external_id, fleet, class, schema, model, firmware, status, metadata)",
      {scope_, ids, revisions, texts_of(devices, "external_id"), texts_of(devices, "fleet_id"),
       texts_of(devices, "device_class"), texts_of(devices, "schema_id"),
       texts_of(devices, "model"), texts_of(devices, "firmware_version"),
       texts_of(devices, "status"), metadata});
  if (!inserted) {
    if (inserted.error().reason() != "devices_external_id") return fail(inserted.error());
    return fail(
        Error(ErrorCode::kAborted, "a device of the upload was registered meanwhile: upload again")
            .with_reason("external_id_taken"));
  }
  if (!terms.empty()) {
    SLUICE_TRY(sql_.execute(
        "INSERT INTO device_attributes (tenant_id, term, device_id) "
        "SELECT $1, r.term, r.id FROM unnest($2::bigint[], $3::uuid[]) AS r (term, id)",
        {scope_, terms, attribute_ids}));
  }
  const Tokens tokens = tokens_of(devices);
  if (tokens.ids.empty()) return std::vector<std::string>();
  // PostgreSQL keeps the plan of a foreign key's check for as long as the connection: made when the
  // table was small, it reads the whole of it for each row. Planned anew for each batch it is
  // right.
  SLUICE_TRY(sql_.execute_script("DISCARD PLANS"));
  // Whose token id is taken, perhaps in a tenant whose rows cannot be seen here, is told by what
  // was not written.
  SLUICE_TRY_ASSIGN(
      const Rows written,
      sql_.query(
          "INSERT INTO credentials (tenant_id, credential_id, device_id, kind, lookup_key, salt, "
          "secret_hash) "
          "SELECT $1, r.id, r.device, 'token', r.lookup_key, decode(r.salt, 'hex'), decode(r.hash, "
          "'hex') "
          "FROM unnest($2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[]) "
          "AS r (id, device, lookup_key, salt, hash) "
          "ON CONFLICT DO NOTHING RETURNING device_id::text",
          {scope_, tokens.ids, tokens.device_ids, tokens.lookup_keys, tokens.salts,
           tokens.hashes}));
  if (written.size() == tokens.ids.size()) return std::vector<std::string>();
  std::set<std::string> tokenless(tokens.device_ids.begin(), tokens.device_ids.end());
  for (const postgres::Row& row : written) tokenless.erase(row.get<std::string>("device_id"));
  return std::vector<std::string>(tokenless.begin(), tokenless.end());
}

Result<> PostgresTransaction::add_result_part(std::string_view operation_id, std::size_t part,
                                              std::string_view sealed) {
  SLUICE_TRY(
      sql_.execute("INSERT INTO operation_results (tenant_id, operation_id, part, sealed) "
                   "VALUES ($1, $2, $3, $4)",
                   {scope_, operation_id, part, postgres::BytesView{sealed}}));
  return {};
}

Result<> PostgresTransaction::append_outbox(std::span<const OutboxRecord> records) {
  std::vector<std::string> topics, keys, values, traces;
  for (const OutboxRecord& record : records) {
    topics.push_back(record.topic);
    keys.push_back(record.key);
    // Told apart from an empty value by the letter in front.
    values.push_back(record.value ? "x" + to_hex(*record.value) : "");
    traces.push_back(record.traceparent);
  }
  SLUICE_TRY(
      sql_.execute("INSERT INTO outbox (topic, key, value, traceparent) "
                   "SELECT r.topic, r.key, CASE WHEN r.value <> '' THEN decode(substr(r.value, 2), "
                   "'hex') END, r.trace "
                   "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS "
                   "r (topic, key, value, trace, n) "
                   "ORDER BY r.n",
                   {topics, keys, values, traces}));
  return {};
}

}  // namespace sluice::registry
