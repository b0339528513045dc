#pragma once

#include "core/schema/compiled_schema.h"
#include "core/schema/unit_table.h"
#include "core/schema_ref.h"
#include "core/stream/outliers.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/base/result.h>
#include <sluice/schema/v1/schema_change.pb.h>

namespace sluice::validator {

/// A version of a schema, ready to judge by.
struct SchemaVersion {
  std::string id{};
  Version version{};
  std::string version_text{};
  std::int64_t registered_at_ms = 0;
  /// Null where the document cannot be compiled any more, such as after a unit that it names was
  /// taken away: its devices' messages are then rejected as of an unknown schema.
  std::shared_ptr<const CompiledSchema> compiled{};
  /// Of the schema's metrics; null where operators said nothing. Owned by all versions.
  std::shared_ptr<const OutlierRules> outliers{};
};

/// All that messages are judged by, at one moment. Immutable: workers hold a snapshot for as long
/// as a batch takes, and a change makes another one.
class Catalogue {
 public:
  /// What a device's schema_id means now; null where there is no such schema or major.
  const SchemaVersion* find(std::string_view tenant, std::string_view schema_ref) const;
  /// That very version, for dry runs and tests.
  const SchemaVersion* find(std::string_view tenant, std::string_view schema_id,
                            const Version& version) const;
  const UnitTable& units_of(std::string_view tenant) const;
  std::size_t versions() const { return versions_; }

 private:
  friend class CatalogueTable;
  struct Schema {
    std::map<Version, std::shared_ptr<const SchemaVersion>> versions{};
  };
  struct Tenant {
    std::map<std::string, Schema, std::less<>> schemas{};
    UnitTable units = UnitTable::built_in();
  };
  using Tenants = std::map<std::string, std::shared_ptr<const Tenant>, std::less<>>;

  Tenants tenants_{};
  std::shared_ptr<const Tenant> nobody_ = std::make_shared<const Tenant>();
  std::size_t versions_ = 0;
};

/// The catalogue that is in use: swapped by one thread, read by all workers. Thread-safe.
class CatalogueHolder {
 public:
  std::shared_ptr<const Catalogue> load() const { return current_.load(std::memory_order_acquire); }
  void store(std::shared_ptr<const Catalogue> next) {
    current_.store(std::move(next), std::memory_order_release);
  }

 private:
  // Owned by this and by whoever is at work with it.
  std::atomic<std::shared_ptr<const Catalogue>> current_{std::make_shared<const Catalogue>()};
};

/// Makes catalogues out of the records of control.schemas. Only the tenants that a change is about
/// are made anew. One owner thread.
class CatalogueTable {
 public:
  explicit CatalogueTable(const CompileLimits& limits) : limits_(limits) {}

  /// Takes a record's word: null for a tombstone. kInvalidArgument for what makes no sense; it is
  /// left out. A state older than what is known is dropped without a word.
  Result<> apply(std::string_view key, const schema::v1::SchemaChange* change);

  /// The catalogue of all that was applied; null where nothing changed since the last.
  std::shared_ptr<const Catalogue> take_changed();

  /// Documents that could not be compiled when last tried.
  std::size_t broken() const { return broken_; }

 private:
  /// What a tenant has, as it came.
  struct Source {
    std::map<std::string, std::map<Version, schema::v1::SchemaChange>, std::less<>> schemas{};
    std::map<std::string, schema::v1::SchemaChange, std::less<>> units{};
    std::map<std::string, std::map<std::string, OutlierRule>, std::less<>> outliers{};
    bool is_changed = false;
  };

  Result<> apply_version(Source& source, std::string_view schema_id, std::string_view version,
                         const schema::v1::SchemaChange* change);
  Result<> apply_unit(Source& source, std::string_view name,
                      const schema::v1::SchemaChange* change);
  Result<> apply_outlier_policy(Source& source, std::string_view rest,
                                const schema::v1::SchemaChange* change);
  std::shared_ptr<const Catalogue::Tenant> compile_tenant(const std::string& tenant,
                                                          const Source& source,
                                                          const Catalogue::Tenant* before);
  static std::shared_ptr<const CompiledSchema> compiled_before(
      const Catalogue::Tenant& before, const std::string& id, const Version& version,
      const schema::v1::SchemaChange& change);

  const CompileLimits limits_;
  std::map<std::string, Source, std::less<>> sources_;
  std::map<std::string, std::int64_t, std::less<>> revisions_;  // by key, of what was applied
  std::shared_ptr<const Catalogue> current_ = std::make_shared<const Catalogue>();
  std::map<std::string, std::size_t> broken_by_tenant_;
  std::size_t broken_ = 0;
  bool is_changed_ = false;
};

}  // namespace sluice::validator
