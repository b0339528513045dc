#include <sluice/postgres/copy_writer.h>

#include "connection.h"
#include "timestamp.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/postgres/statement.h>

namespace sluice::postgres {
namespace {

// Enough that a send costs little per row; small against the memory of a service.
constexpr std::size_t kSendAt = std::size_t{256} << 10;
constexpr std::string_view kHeader("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0",
                                   19);  // signature, flags, extension
constexpr std::string_view kTrailer("\xff\xff", 2);
constexpr std::int32_t kNull = -1;
constexpr std::uint32_t kFloat8Oid = 701;
constexpr std::uint32_t kTextOid = 25;

/// Writes in network byte order and gives the place after.
template <typename Integer>
char* put(char* to, Integer value) {
  if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
  std::memcpy(to, &value, sizeof value);
  return to + sizeof value;
}

char* put_bytes(char* to, std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

/// Dimensions, has-NULLs, element type; then the one dimension's size and first index.
constexpr std::size_t kArrayHeaderSize = 20;
char* put_array_header(char* to, std::uint32_t element_type, std::size_t size) {
  to = put(to, std::int32_t{1});
  to = put(to, std::int32_t{0});
  to = put(to, element_type);
  to = put(to, static_cast<std::int32_t>(size));
  return put(to, std::int32_t{1});
}

std::string copy_sql(const CopyTarget& target, std::span<const CopyColumn> columns) {
  std::string sql = "COPY ";
  if (!target.schema.empty()) sql += quote_identifier(target.schema) + ".";
  sql += quote_identifier(target.table) + " (";
  for (const CopyColumn& column : columns) {
    if (&column != columns.data()) sql += ", ";
    sql += quote_identifier(column.name.text());
  }
  return sql + ") FROM STDIN (FORMAT binary)";
}

}  // namespace

Result<CopyWriter> CopyWriter::begin(Transaction& transaction, const CopyTarget& target,
                                     std::initializer_list<CopyColumn> columns) {
  return begin(transaction, target, std::span(columns.begin(), columns.size()));
}

Result<CopyWriter> CopyWriter::begin(Transaction& transaction, const CopyTarget& target,
                                     std::span<const CopyColumn> columns) {
  SLUICE_TRY(transaction.connection_.begin_copy(copy_sql(target, columns)));
  return CopyWriter(transaction.connection_, columns);
}

CopyWriter::CopyWriter(Connection& connection, std::span<const CopyColumn> columns)
    : connection_(&connection) {
  SLUICE_CHECK(!columns.empty() && columns.size() <= std::numeric_limits<std::int16_t>::max());
  for (const CopyColumn& column : columns) types_.push_back(column.type);
  buffer_.resize(kSendAt);
  used_ = kHeader.copy(buffer_.data(), kHeader.size());
}

CopyWriter::CopyWriter(CopyWriter&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)),
      types_(std::move(other.types_)),
      next_column_(other.next_column_),
      rows_(other.rows_),
      buffer_(std::move(other.buffer_)),
      used_(other.used_) {}

CopyWriter::~CopyWriter() {
  if (connection_ != nullptr) connection_->cancel_copy();
}

/// Makes room for the next value, before it the row's head if it is the first, and gives its place.
char* CopyWriter::value(ColumnType type, std::size_t size) {
  SLUICE_CHECK(connection_ != nullptr && next_column_ < types_.size() &&
               types_[next_column_] == type);
  SLUICE_CHECK(size <= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()));
  const std::size_t needed = used_ + sizeof(std::int16_t) + sizeof(std::int32_t) + size;
  if (needed > buffer_.size()) buffer_.resize(std::max(needed, buffer_.size() * 2));
  char* to = buffer_.data() + used_;
  if (next_column_ == 0) to = put(to, static_cast<std::int16_t>(types_.size()));
  to = put(to, static_cast<std::int32_t>(size));
  ++next_column_;
  used_ = static_cast<std::size_t>(to - buffer_.data()) + size;
  return to;
}

void CopyWriter::null() {
  SLUICE_CHECK(next_column_ < types_.size());
  put(value(types_[next_column_], 0) - sizeof kNull, kNull);
}

void CopyWriter::int2(std::int16_t number) { put(value(ColumnType::kInt2, sizeof number), number); }
void CopyWriter::int4(std::int32_t number) { put(value(ColumnType::kInt4, sizeof number), number); }
void CopyWriter::int8(std::int64_t number) { put(value(ColumnType::kInt8, sizeof number), number); }
void CopyWriter::float8(double number) {
  put(value(ColumnType::kFloat8, sizeof number), std::bit_cast<std::uint64_t>(number));
}
void CopyWriter::boolean(bool truth) { *value(ColumnType::kBool, 1) = truth ? 1 : 0; }
void CopyWriter::text(std::string_view content) {
  put_bytes(value(ColumnType::kText, content.size()), content);
}
void CopyWriter::bytea(std::string_view content) {
  put_bytes(value(ColumnType::kBytea, content.size()), content);
}
void CopyWriter::timestamptz(WallTime time) {
  put(value(ColumnType::kTimestamptz, sizeof(std::int64_t)), to_binary_timestamp(time));
}
void CopyWriter::uuid(const Uuid& id) {
  std::memcpy(value(ColumnType::kUuid, id.bytes.size()), id.bytes.data(), id.bytes.size());
}
void CopyWriter::jsonb(std::string_view json) {
  char* to = value(ColumnType::kJsonb, 1 + json.size());
  *to = 1;  // the format's version
  put_bytes(to + 1, json);
}

void CopyWriter::float8_array(std::span<const double> values) {
  const std::size_t each = sizeof(std::int32_t) + sizeof(double);
  char* to = value(ColumnType::kFloat8Array, kArrayHeaderSize + values.size() * each);
  to = put_array_header(to, kFloat8Oid, values.size());
  for (const double number : values) {
    to = put(to, static_cast<std::int32_t>(sizeof number));
    to = put(to, std::bit_cast<std::uint64_t>(number));
  }
}

void CopyWriter::text_array(std::span<const std::string> values) {
  std::size_t size = kArrayHeaderSize;
  for (const std::string& text : values) size += sizeof(std::int32_t) + text.size();
  char* to = put_array_header(value(ColumnType::kTextArray, size), kTextOid, values.size());
  for (const std::string& text : values) {
    to = put(to, static_cast<std::int32_t>(text.size()));
    to = put_bytes(to, text);
  }
}

Result<> CopyWriter::end_row() {
  SLUICE_CHECK(connection_ != nullptr && next_column_ == types_.size());
  next_column_ = 0;
  ++rows_;
  return used_ < kSendAt ? Result<>() : send();
}

Result<> CopyWriter::send() {
  Connection& connection = *connection_;
  auto sent = connection.put_copy_data({buffer_.data(), used_});
  used_ = 0;
  if (buffer_.size() > 2 * kSendAt) {  // one huge row is no reason to keep its size
    buffer_.resize(kSendAt);
    buffer_.shrink_to_fit();
  }
  if (!sent) std::exchange(connection_, nullptr)->cancel_copy();
  return sent;
}

Result<std::int64_t> CopyWriter::finish() {
  SLUICE_CHECK(connection_ != nullptr && next_column_ == 0);
  if (buffer_.size() < used_ + kTrailer.size()) buffer_.resize(used_ + kTrailer.size());
  used_ += kTrailer.copy(buffer_.data() + used_, kTrailer.size());
  SLUICE_TRY(send());
  SLUICE_TRY(std::exchange(connection_, nullptr)->end_copy(rows_));
  return rows_;
}

}  // namespace sluice::postgres
