#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/uuid.h>

namespace sluice::postgres {

class Rows;

/// One row of an answer. Valid as long as its Rows.
///
/// Both the statement and the reading of it are the program's own, so what cannot be read as asked
/// is a bug and aborts, naming the column: a column that the statement does not return, a NULL read
/// as anything but an optional, a text read as a number.
class Row {
 public:
  /// T is one of bool, std::int16_t, std::int32_t, std::int64_t, double, std::string (text, json
  /// and whatever else, as PostgreSQL writes it), Uuid, WallTime, std::vector<std::string>,
  /// std::vector<std::int64_t>, std::vector<double>, or a std::optional of one of these.
  template <typename T>
  T get(std::string_view column) const {
    T value{};
    read(column_index(column), value);
    return value;
  }
  template <typename T>
  T get(std::size_t column) const {
    T value{};
    read(column, value);
    return value;
  }

  /// A text without a copy; lives as long as the Rows.
  std::string_view text(std::string_view column) const;
  std::string_view text(std::size_t column) const;
  /// The content of a `bytea`.
  std::string bytes(std::string_view column) const;
  std::optional<std::string> optional_bytes(std::string_view column) const;
  bool is_null(std::string_view column) const;

 private:
  friend class Rows;
  Row(const Rows* rows, std::size_t index) : rows_(rows), index_(index) {}

  std::size_t column_index(std::string_view column) const;
  bool is_null_at(std::size_t column) const;
  /// As it came, in whatever format.
  std::string_view raw(std::size_t column) const;
  void read(std::size_t column, bool& value) const;
  void read(std::size_t column, std::int16_t& value) const;
  void read(std::size_t column, std::int32_t& value) const;
  void read(std::size_t column, std::int64_t& value) const;
  void read(std::size_t column, double& value) const;
  void read(std::size_t column, std::string& value) const;
  void read(std::size_t column, Uuid& value) const;
  void read(std::size_t column, WallTime& value) const;
  void read(std::size_t column, std::vector<std::string>& value) const;
  void read(std::size_t column, std::vector<std::int64_t>& value) const;
  void read(std::size_t column, std::vector<double>& value) const;
  template <typename T>
  void read(std::size_t column, std::optional<T>& value) const {
    if (!is_null_at(column)) read(column, value.emplace());
  }

  const Rows* rows_;
  std::size_t index_;
};

/// What a statement returned, all of it in memory: statements that may return much need a LIMIT.
/// Independent of the connection and the transaction. Movable; one thread at a time.
class Rows {
 public:
  /// Held by the library alone.
  struct Impl;
  explicit Rows(std::shared_ptr<const Impl> impl);

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// Rows that an INSERT, UPDATE, DELETE or MERGE changed.
  std::int64_t affected() const;
  Row operator[](std::size_t index) const;
  /// The only row. Another count is a bug of the statement.
  Row one() const;
  /// The only row or none.
  std::optional<Row> optional() const;

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Row;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = Row;

    Iterator(const Rows* rows, std::size_t index) : rows_(rows), index_(index) {}
    Row operator*() const { return (*rows_)[index_]; }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    void operator++(int) { ++index_; }
    bool operator==(const Iterator&) const = default;

   private:
    const Rows* rows_;
    std::size_t index_;
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size_}; }

 private:
  friend class Row;
  std::shared_ptr<const Impl> impl_;  // shared by copies of this answer alone, and never changed
  std::size_t size_;
};

}  // namespace sluice::postgres
