#include "adapters/attribute_values.h"

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::tsdb {
namespace {

using postgres::Row;
using postgres::Rows;
using postgres::Transaction;

struct Columns {
  std::vector<std::string> tenants;
  std::vector<std::string> names;
  std::vector<std::string> values;
};

template <typename Values>
Columns columns_of(const Values& values) {
  Columns columns;
  for (const AttributeValue& each : values) {
    columns.tenants.push_back(each.tenant);
    columns.names.push_back(each.name);
    columns.values.push_back(each.value);
  }
  return columns;
}

Result<std::set<AttributeValue>> unknown_of(Transaction& tx,
                                            const std::set<AttributeValue>& values) {
  const Columns asked = columns_of(values);
  SLUICE_TRY_ASSIGN(
      const Rows rows,
      tx.query("SELECT u.tenant, u.name, u.value "
               "FROM unnest($1::text[], $2::text[], $3::text[]) AS u (tenant, name, value) "
               "WHERE NOT EXISTS (SELECT FROM attribute_values v WHERE v.tenant = u.tenant "
               "  AND v.name = u.name AND v.value = u.value)",
               {asked.tenants, asked.names, asked.values}));
  std::set<AttributeValue> unknown;
  for (const Row row : rows) {
    unknown.insert({.tenant = row.get<std::string>("tenant"),
                    .name = row.get<std::string>("name"),
                    .value = row.get<std::string>("value")});
  }
  return unknown;
}

Result<AttributeCounts> counts_of(Transaction& tx, const std::set<AttributeValue>& values) {
  std::set<std::string> tenants;
  for (const AttributeValue& each : values) tenants.insert(each.tenant);
  SLUICE_TRY_ASSIGN(const Rows rows,
                    tx.query("SELECT tenant, name, count(*) AS known FROM attribute_values "
                             "WHERE tenant = ANY($1::text[]) GROUP BY tenant, name",
                             {std::vector<std::string>(tenants.begin(), tenants.end())}));
  AttributeCounts counts;
  for (const Row row : rows) {
    counts[row.get<std::string>("tenant")][row.get<std::string>("name")] =
        static_cast<std::size_t>(row.get<std::int64_t>("known"));
  }
  return counts;
}

}  // namespace

Result<std::map<AttributeValue, AttributeRefusal>> learn_values(
    Transaction& tx, const std::set<AttributeValue>& values, const AttributeLimits& limits) {
  std::map<AttributeValue, AttributeRefusal> refused;
  if (values.empty()) return refused;
  SLUICE_TRY_ASSIGN(auto unknown, unknown_of(tx, values));
  if (unknown.empty()) return refused;
  // One at a time: two who count and then add would together go past the limit.
  SLUICE_TRY(tx.query("SELECT pg_advisory_xact_lock(hashtextextended('tsdb.attributes', 0))"));
  SLUICE_TRY_ASSIGN(unknown, unknown_of(tx, unknown));
  SLUICE_TRY_ASSIGN(auto counts, counts_of(tx, unknown));
  AdmittedAttributes result = admit(unknown, std::move(counts), limits);
  const Columns admitted = columns_of(result.admitted);
  SLUICE_TRY(
      tx.execute("INSERT INTO attribute_values (tenant, name, value) "
                 "SELECT * FROM unnest($1::text[], $2::text[], $3::text[])",
                 {admitted.tenants, admitted.names, admitted.values}));
  return std::move(result.refused);
}

}  // namespace sluice::tsdb
