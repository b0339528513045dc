#include "adapters/postgres_tables.h"
#include "adapters/postgres_transaction.h"
#include "core/attributes.h"

#include <format>

#include <sluice/base/clock.h>

namespace sluice::registry {
namespace {

using postgres::Sql;
using postgres::Statement;

/// Text whose parts are all this program's own: names of columns and operators.
Sql trusted(const std::string& text) { return Sql::from_trusted_text(text); }

std::string_view spell(Comparison::Operator op) {
  switch (op) {
    case Comparison::Operator::kEqual:
      return "=";
    case Comparison::Operator::kNotEqual:
      return "<>";
    case Comparison::Operator::kLess:
      return "<";
    case Comparison::Operator::kLessOrEqual:
      return "<=";
    case Comparison::Operator::kGreater:
      return ">";
    case Comparison::Operator::kGreaterOrEqual:
      return ">=";
  }
  return "=";
}

std::string_view cast_of(QueryField::Type type) {
  switch (type) {
    case QueryField::Type::kTime:
      return "::timestamptz";
    case QueryField::Type::kUuid:
      return "::uuid";
    default:
      return "";
  }
}

/// Equality goes through the index of terms; anything else is a condition on the rows found
/// otherwise.
void add_attribute_condition(Statement& statement, const TenantId& tenant,
                             const Comparison& comparison) {
  const bool is_equal = comparison.op == Comparison::Operator::kEqual;
  const std::string place = std::format("t.{} #> ?::text[]", comparison.field->name);
  if (comparison.value.is_null()) {
    // A null says no more than an absent member.
    statement.where(
        trusted(std::format("coalesce({}, 'null') {} 'null'::jsonb", place, is_equal ? "=" : "<>")),
        {comparison.path});
    return;
  }
  const std::string value = comparison.value.dump();
  if (is_equal) {
    statement.where(
        "t.device_id IN (SELECT a.device_id FROM device_attributes AS a WHERE a.tenant_id = ? AND "
        "a.term = ?)",
        {tenant, attribute_term(comparison.path, comparison.value)});
    // Two attributes may share a term. On the right of a list, @> asks whether it holds the scalar.
    statement.where(trusted(std::format("{} @> ?::jsonb", place)), {comparison.path, value});
  } else {
    statement.where(trusted(std::format("NOT coalesce({} @> ?::jsonb, false)", place)),
                    {comparison.path, value});
  }
}

/// Attributes of kinds that are few need no index of terms.
void add_unindexed_attribute_condition(Statement& statement, const Comparison& comparison) {
  const bool is_equal = comparison.op == Comparison::Operator::kEqual;
  const std::string place =
      std::format("coalesce(t.{} #> ?::text[], 'null')", comparison.field->name);
  if (comparison.value.is_null()) {
    statement.where(trusted(std::format("{} {} 'null'::jsonb", place, is_equal ? "=" : "<>")),
                    {comparison.path});
  } else {
    statement.where(trusted(std::format("{}({} @> ?::jsonb)", is_equal ? "" : "NOT ", place)),
                    {comparison.path, comparison.value.dump()});
  }
}

void add_condition(Statement& statement, const Comparison& comparison) {
  const bool is_equal = comparison.op == Comparison::Operator::kEqual;
  if (comparison.value.is_null()) {
    statement.where(
        trusted(std::format("t.{} IS {}NULL", comparison.field->name, is_equal ? "" : "NOT ")));
    return;
  }
  // What is always there can be compared in the words of an index's own condition; the rest is
  // unequal also where it is absent.
  const bool is_distinct =
      comparison.op == Comparison::Operator::kNotEqual && !comparison.field->is_required;
  const std::string_view op = is_distinct ? "IS DISTINCT FROM" : spell(comparison.op);
  statement.where(trusted(std::format("t.{} {} ?{}", comparison.field->name, op,
                                      cast_of(comparison.field->type))),
                  {comparison.value.get<std::string>()});
}

/// What is kept of a device's presence. Who is connected is found by an index in the order of
/// pages; a device of which nothing was told is not connected.
void add_presence_condition(Statement& statement, const TenantId& tenant,
                            const Comparison& comparison) {
  const std::string_view name = comparison.field->name;
  bool has_row = comparison.op != Comparison::Operator::kNotEqual;
  std::string condition;
  std::vector<postgres::Param> params{tenant};
  if (comparison.value.is_boolean()) {
    condition = std::format("p.{}", name);
    has_row = has_row == comparison.value.get<bool>();
  } else if (comparison.value.is_null()) {
    condition = std::format("p.{} IS NOT NULL", name);
    has_row = !has_row;
  } else {
    const std::string_view op = has_row ? spell(comparison.op) : "=";
    condition = std::format("p.{} {} ?{}", name, op, cast_of(comparison.field->type));
    params.emplace_back(comparison.value.get<std::string>());
  }
  statement.where(
      trusted(std::format("{}EXISTS (SELECT FROM device_presence AS p WHERE p.tenant_id = ? AND "
                          "p.device_id = t.device_id AND {})",
                          has_row ? "" : "NOT ", condition)),
      params);
}

}  // namespace

Statement list_statement(ResourceKind kind, const TenantId& tenant, const ListQuery& query) {
  const Table& table = table_of(kind);
  Statement statement(trusted(std::format("SELECT {} FROM {} AS t", table.shown(), table.name)));
  if (kind != ResourceKind::kTenant) statement.where("t.tenant_id = ?", {tenant});
  if (query.device_id) statement.where("t.device_id = ?::uuid", {*query.device_id});
  for (const Comparison& comparison : query.filter) {
    if (comparison.field->is_presence) {
      add_presence_condition(statement, tenant, comparison);
    } else if (comparison.field->type != QueryField::Type::kAttributes) {
      add_condition(statement, comparison);
    } else if (kind == ResourceKind::kDevice) {
      add_attribute_condition(statement, tenant, comparison);
    } else {
      add_unindexed_attribute_condition(statement, comparison);
    }
  }
  const QueryField& field = *query.order.field;
  const std::string_view direction = query.order.is_descending ? "DESC" : "ASC";
  const std::string_view id_cast = kind == ResourceKind::kDevice ? "::uuid" : "";
  if (field.name == table.id) {
    if (query.after) {
      statement.where(trusted(std::format("t.{} {} ?{}", table.id,
                                          query.order.is_descending ? "<" : ">", id_cast)),
                      {query.after->id});
    }
    statement.append(trusted(std::format(" ORDER BY t.{} {}", table.id, direction)));
  } else {
    if (query.after) {
      statement.where(
          trusted(std::format("(t.{}, t.{}) {} (?{}, ?{})", field.name, table.id,
                              query.order.is_descending ? "<" : ">", cast_of(field.type), id_cast)),
          {query.after->value, query.after->id});
    }
    statement.append(
        trusted(std::format(" ORDER BY t.{0} {2}, t.{1} {2}", field.name, table.id, direction)));
  }
  statement.append(" LIMIT ?", {query.limit});
  return statement;
}

}  // namespace sluice::registry
