#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/base/uuid.h>
#include <sluice/postgres/transaction.h>

namespace sluice::postgres {

/// PostgreSQL's types that CopyWriter writes. The table's column must be of exactly this type.
enum class ColumnType : std::uint8_t {
  kInt2,
  kInt4,
  kInt8,
  kFloat8,
  kBool,
  kText,
  kBytea,
  kTimestamptz,
  kUuid,
  kJsonb,
  kFloat8Array,
  kTextArray,
};

struct CopyColumn {
  Sql name;
  ColumnType type;
};

struct CopyTarget {
  std::string_view table;
  /// Empty: found by the search path.
  std::string_view schema{};
};

/// Writes many rows into a table with COPY … (FORMAT binary), inside a transaction; nothing else
/// may be done in it between begin() and finish(). Memory is bounded: a full buffer is sent on, and
/// what the server does not take yet holds the caller back, at most for the statement timeout per
/// send.
///
///   SLUICE_TRY_ASSIGN(CopyWriter copy, CopyWriter::begin(tx, {.table = "samples"},
///       {{"device", ColumnType::kInt8}, {"ts", ColumnType::kTimestamptz}}));
///   for (const Sample& s : samples) {
///     copy.int8(s.device); copy.timestamptz(s.time);
///     SLUICE_TRY(copy.end_row());
///   }
///   SLUICE_TRY(copy.finish());
///
/// A value of another type or number than declared is a bug and aborts. Writers that are dropped
/// without finish() cancel the COPY and with it the transaction. One thread.
class CopyWriter {
 public:
  static Result<CopyWriter> begin(Transaction& transaction, const CopyTarget& target,
                                  std::initializer_list<CopyColumn> columns);
  static Result<CopyWriter> begin(Transaction& transaction, const CopyTarget& target,
                                  std::span<const CopyColumn> columns);
  CopyWriter(CopyWriter&& other) noexcept;
  CopyWriter& operator=(CopyWriter&&) = delete;
  ~CopyWriter();

  // The values of a row, in the order of the columns. Any column takes null().
  void null();
  void int2(std::int16_t value);
  void int4(std::int32_t value);
  void int8(std::int64_t value);
  void float8(double value);
  void boolean(bool value);
  /// Without zero bytes, which the server refuses; checked by it.
  void text(std::string_view value);
  void bytea(std::string_view value);
  void timestamptz(WallTime value);
  void uuid(const Uuid& value);
  void jsonb(std::string_view json);
  void float8_array(std::span<const double> values);
  void text_array(std::span<const std::string> values);

  /// Sends when the buffer is full; then an error of the server may show, of any row so far.
  Result<> end_row();
  /// Sends the rest and gives the number of rows, which is what the server says it stored;
  /// kDataLoss if that is not what was written.
  Result<std::int64_t> finish();

  std::int64_t rows() const { return rows_; }

 private:
  CopyWriter(Connection& connection, std::span<const CopyColumn> columns);
  char* value(ColumnType type, std::size_t size);
  Result<> send();

  Connection* connection_;  // null once finished or moved from
  std::vector<ColumnType> types_;
  std::size_t next_column_ = 0;
  std::int64_t rows_ = 0;
  std::string buffer_;
  std::size_t used_ = 0;
};

}  // namespace sluice::postgres
