#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <sluice/postgres/value.h>

namespace sluice::postgres {

/// A statement put together at run time, for searches with optional filters. Its text comes from
/// literals, each `?` in them becomes the next $n and takes the next value; there is no way to put
/// a value into the text.
///
///   Statement search("SELECT id, name FROM devices");
///   search.where("tenant_id = ?", {tenant});
///   if (status) search.where("status = ?", {*status});
///   if (after) search.where("(created_at, id) > (?, ?)", {after->time, after->id});
///   search.append(" ORDER BY created_at, id LIMIT ?", {limit});
///   tx.query(search);
///
/// A number of values that differs from the number of `?` is a bug and aborts. The JSON operators
/// that are spelled with `?` are reached by their functions: jsonb_exists(), jsonb_exists_any().
class Statement {
 public:
  explicit Statement(Sql sql, Params values = {}) { append(sql, values); }

  /// Adds text as it is; put a blank in front.
  Statement& append(Sql sql, Params values = {});
  /// Adds a condition: WHERE for the first, AND for the others.
  Statement& where(Sql condition, Params values = {});
  /// Adds a name that is known only at run time, such as a partition's, quoted so that it is one
  /// name whatever it holds. A name with a zero byte or of more than 63 bytes is a bug and aborts.
  Statement& identifier(std::string_view name);

  const std::string& text() const { return text_; }
  const std::vector<Param>& params() const { return params_; }

 private:
  std::string text_;
  std::vector<Param> params_;
  bool has_where_ = false;
};

/// `name` as a quoted SQL identifier, with the limits of Statement::identifier().
std::string quote_identifier(std::string_view name);

}  // namespace sluice::postgres
