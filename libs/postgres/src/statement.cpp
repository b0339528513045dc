#include <sluice/postgres/statement.h>

#include <format>

#include <sluice/base/check.h>

namespace sluice::postgres {

Statement& Statement::append(Sql sql, Params values) {
  const std::span<const Param> span = values.span();
  std::size_t used = 0;
  for (const char c : sql.text()) {
    if (c != '?') {
      text_ += c;
      continue;
    }
    SLUICE_CHECK(used < span.size());
    params_.push_back(span[used++]);
    text_ += std::format("${}", params_.size());
  }
  SLUICE_CHECK(used == span.size());
  return *this;
}

Statement& Statement::where(Sql condition, Params values) {
  // In brackets, so that an OR inside does not reach past its condition.
  text_ += has_where_ ? " AND (" : " WHERE (";
  has_where_ = true;
  append(condition, values);
  text_ += ')';
  return *this;
}

Statement& Statement::identifier(std::string_view name) {
  text_ += quote_identifier(name);
  return *this;
}

std::string quote_identifier(std::string_view name) {
  constexpr std::size_t kMaxSize = 63;  // PostgreSQL cuts longer ones, and two could become one
  SLUICE_CHECK(!name.empty() && name.size() <= kMaxSize && !name.contains('\0'));
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted += '"';
}

}  // namespace sluice::postgres
