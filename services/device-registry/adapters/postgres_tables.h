#pragma once

#include "core/resource.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/postgres/rows.h>
#include <sluice/postgres/value.h>

/// How kinds of things are kept in tables: one description, from which all statements about single
/// things are made.
namespace sluice::registry {

struct Column {
  enum class Type : std::uint8_t { kText, kJson, kTime, kInteger, kBoolean };
  enum class Use : std::uint8_t {
    kKey,      // written once, with the row
    kField,    // written by operators
    kStamped,  // written by the database
  };

  std::string_view name{};
  Type type = Type::kText;
  Use use = Use::kField;
};

/// A kind's table and the statements about it, made once.
struct Table {
  std::string_view name{};
  std::string_view id{};  // the column of Resource::id
  std::span<const Column> columns;

  enum class Metadata : std::uint8_t { kRead, kNull };
  std::string columns_of(std::string_view alias, std::string_view prefix,
                         Metadata metadata = Metadata::kRead) const;
  /// columns_of("t", "") and, of a device, its presence: what operators are shown. Devices at the
  /// door are read without it.
  std::string shown() const;

  std::string find{};         // $1 tenant, $2 id
  std::string find_locked{};  // the same; rows that refer to it may be written meanwhile
  std::string insert{};       // $1 tenant, then insert_params()
  std::string update{};       // $1 tenant, $2 id, then update_params(), then the revision to exceed
  std::string remove{};       // $1 tenant, $2 id
};

const Table& table_of(ResourceKind kind);

/// Reads a thing from columns named by columns_of() with this prefix; nulls become absent fields.
Resource read_resource(const postgres::Row& row, ResourceKind kind, std::string_view prefix = "");

/// Reads a thing from what shown() names.
Resource read_shown(const postgres::Row& row, ResourceKind kind);

/// The columns of `use`, in order, as parameters; absent fields become nulls.
void add_params(const Resource& resource, Column::Use use, std::vector<postgres::Param>& params);

}  // namespace sluice::registry
