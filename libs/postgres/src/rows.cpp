#include <sluice/postgres/rows.h>

#include "rows_impl.h"
#include "timestamp.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <exception>
#include <format>

#include <sluice/base/check.h>
#include <sluice/base/encoding.h>

#include <pqxx/array>

namespace sluice::postgres {
namespace {

/// Statement and reader disagree: named, so that the log of the crash says what to mend.
[[noreturn]] void report_column(const PGresult* result, std::size_t column,
                                std::string_view fault) {
  report_bug(std::format("column \"{}\" {}", PQfname(result, static_cast<int>(column)), fault),
             __FILE__, __LINE__);
}

// Oids of PostgreSQL's own types, which never change (pg_type.dat).
constexpr Oid kBool = 16, kBytea = 17, kInt8 = 20, kInt2 = 21, kInt4 = 23, kText = 25;
constexpr Oid kFloat8 = 701, kTimestamptz = 1184, kUuid = 2950;

bool is_binary(const PGresult* result, std::size_t column) {
  return PQfformat(result, static_cast<int>(column)) == 1;
}

/// The bytes of a binary value are told apart by their type alone: one read as another is a bug
/// that no parser would notice.
void check_type(const PGresult* result, std::size_t column, Oid type, std::string_view fault) {
  if (PQftype(result, static_cast<int>(column)) != type) report_column(result, column, fault);
}

/// Of a binary value, highest byte first as all of them are.
template <typename Number>
void take_number(std::string_view bytes, Number& value) {
  SLUICE_CHECK(bytes.size() == sizeof(Number));
  std::array<char, sizeof(Number)> reversed;
  std::ranges::reverse_copy(bytes, reversed.begin());
  value = std::bit_cast<Number>(reversed);
}
static_assert(std::endian::native == std::endian::little);

template <typename Number>
bool parse_number(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

struct NumberType {
  Oid oid;
  std::string_view fault;
};

template <typename Number>
void read_number(const PGresult* result, std::size_t column, std::string_view written,
                 NumberType type, Number& value) {
  if (is_binary(result, column)) {
    check_type(result, column, type.oid, type.fault);
    take_number(written, value);
  } else if (!parse_number(written, value)) {
    report_column(result, column, type.fault);
  }
}

bool parse_element(std::string&& text, std::string& value) {
  value = std::move(text);
  return true;
}
template <typename Number>
bool parse_element(std::string&& text, Number& value) {
  return parse_number(text, value);
}

/// A one-dimensional array without NULLs; false for anything else.
template <typename T>
bool parse_array(std::string_view text, std::vector<T>& values) try {
  using Juncture = pqxx::array_parser::juncture;
  values.clear();
  // Bytes, not characters, are enough to find quotes and commas in UTF-8.
  pqxx::array_parser parser(text);
  int depth = 0;
  for (;;) {
    auto [juncture, element] = parser.get_next();
    switch (juncture) {
      case Juncture::row_start:
        if (++depth > 1) return false;
        break;
      case Juncture::row_end:
        --depth;
        break;
      case Juncture::string_value:
        if (!parse_element(std::move(element), values.emplace_back())) return false;
        break;
      case Juncture::null_value:
        return false;
      case Juncture::done:
        return true;
    }
  }
} catch (const std::exception&) {
  return false;  // libpqxx says by exceptions that it is no array at all
}

}  // namespace

Rows::Rows(std::shared_ptr<const Impl> impl)
    : impl_(std::move(impl)), size_(static_cast<std::size_t>(PQntuples(impl_->result.get()))) {}

std::int64_t Rows::affected() const {
  std::int64_t count = 0;
  // libpq hands out its own text and takes the result as not const, though it changes nothing.
  const std::string_view text = PQcmdTuples(impl_->result.get());
  if (!text.empty()) parse_number(text, count);
  return count;
}

Row Rows::operator[](std::size_t index) const {
  SLUICE_CHECK(index < size_);
  return Row(this, index);
}

Row Rows::one() const {
  SLUICE_CHECK(size_ == 1);
  return Row(this, 0);
}

std::optional<Row> Rows::optional() const {
  SLUICE_CHECK(size_ <= 1);
  if (size_ == 0) return std::nullopt;
  return Row(this, 0);
}

std::size_t Row::column_index(std::string_view column) const {
  const PGresult* result = rows_->impl_->result.get();
  // Not PQfnumber(), which folds case and reads quotes.
  for (int i = 0; i < PQnfields(result); ++i) {
    if (column == PQfname(result, i)) return static_cast<std::size_t>(i);
  }
  report_bug(std::format("the statement returns a column \"{}\"", column), __FILE__, __LINE__);
}

bool Row::is_null_at(std::size_t column) const {
  const PGresult* result = rows_->impl_->result.get();
  SLUICE_CHECK(column < static_cast<std::size_t>(PQnfields(result)));
  return PQgetisnull(result, static_cast<int>(index_), static_cast<int>(column)) != 0;
}

bool Row::is_null(std::string_view column) const { return is_null_at(column_index(column)); }

std::string_view Row::text(std::size_t column) const {
  const PGresult* result = rows_->impl_->result.get();
  if (is_binary(result, column)) check_type(result, column, kText, "is a text");
  return raw(column);
}

std::string_view Row::raw(std::size_t column) const {
  const PGresult* result = rows_->impl_->result.get();
  if (is_null_at(column)) report_column(result, column, "is not NULL");
  const int row = static_cast<int>(index_);
  const int field = static_cast<int>(column);
  return {PQgetvalue(result, row, field),
          static_cast<std::size_t>(PQgetlength(result, row, field))};
}

std::string_view Row::text(std::string_view column) const { return text(column_index(column)); }

std::string Row::bytes(std::string_view column) const {
  const std::size_t index = column_index(column);
  const std::string_view written = raw(index);
  if (const PGresult* result = rows_->impl_->result.get(); is_binary(result, index)) {
    check_type(result, index, kBytea, "is a bytea");
    return std::string(written);
  }
  auto content = written.starts_with("\\x") ? from_hex(written.substr(2)) : std::nullopt;
  if (!content) report_column(rows_->impl_->result.get(), index, "is a bytea");
  return *std::move(content);
}

std::optional<std::string> Row::optional_bytes(std::string_view column) const {
  if (is_null(column)) return std::nullopt;
  return bytes(column);
}

void Row::read(std::size_t column, bool& value) const {
  const std::string_view written = raw(column);
  if (const PGresult* result = rows_->impl_->result.get(); is_binary(result, column)) {
    check_type(result, column, kBool, "is a boolean");
    value = written == std::string_view("\1", 1);
    return;
  }
  if (written != "t" && written != "f") {
    report_column(rows_->impl_->result.get(), column, "is a boolean");
  }
  value = written == "t";
}

void Row::read(std::size_t column, std::int16_t& value) const {
  read_number(rows_->impl_->result.get(), column, raw(column), {kInt2, "is a number of 16 bits"},
              value);
}

void Row::read(std::size_t column, std::int32_t& value) const {
  read_number(rows_->impl_->result.get(), column, raw(column), {kInt4, "is a number of 32 bits"},
              value);
}

void Row::read(std::size_t column, std::int64_t& value) const {
  read_number(rows_->impl_->result.get(), column, raw(column), {kInt8, "is a number of 64 bits"},
              value);
}

void Row::read(std::size_t column, double& value) const {
  read_number(rows_->impl_->result.get(), column, raw(column), {kFloat8, "is a number"}, value);
}

void Row::read(std::size_t column, std::string& value) const { value = text(column); }

void Row::read(std::size_t column, Uuid& value) const {
  if (const PGresult* result = rows_->impl_->result.get(); is_binary(result, column)) {
    check_type(result, column, kUuid, "is a uuid");
    const std::string_view written = raw(column);
    SLUICE_CHECK(written.size() == value.bytes.size());
    std::ranges::transform(written, value.bytes.begin(),
                           [](char c) { return static_cast<std::uint8_t>(c); });
    return;
  }
  const auto parsed = Uuid::parse(text(column));
  if (!parsed) report_column(rows_->impl_->result.get(), column, "is a uuid");
  value = *parsed;
}

void Row::read(std::size_t column, WallTime& value) const {
  if (const PGresult* result = rows_->impl_->result.get(); is_binary(result, column)) {
    check_type(result, column, kTimestamptz, "is a finite timestamptz");
    std::int64_t written = 0;
    take_number(raw(column), written);
    const auto time = from_binary_timestamp(written);
    if (!time) report_column(result, column, "is a finite timestamptz");
    value = *time;
    return;
  }
  const auto parsed = parse_timestamp(text(column));
  if (!parsed) report_column(rows_->impl_->result.get(), column, "is a finite timestamptz");
  value = *parsed;
}

void Row::read(std::size_t column, std::vector<std::string>& value) const {
  if (!parse_array(text(column), value)) {
    report_column(rows_->impl_->result.get(), column, "is an array without NULLs");
  }
}

void Row::read(std::size_t column, std::vector<std::int64_t>& value) const {
  if (!parse_array(text(column), value)) {
    report_column(rows_->impl_->result.get(), column, "is an array of whole numbers");
  }
}

void Row::read(std::size_t column, std::vector<double>& value) const {
  if (!parse_array(text(column), value)) {
    report_column(rows_->impl_->result.get(), column, "is an array of numbers");
  }
}

}  // namespace sluice::postgres
