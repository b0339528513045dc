#include "core/catalogue.h"

#include "core/outlier_policy.h"

#include <iterator>
#include <utility>
#include <vector>

#include <sluice/base/ids.h>

namespace sluice::validator {
namespace {

constexpr std::string_view kUnitPrefix = "$unit/";
constexpr std::string_view kOutlierPrefix = "$outlier/";

std::optional<SchemaKind> kind_of(schema::v1::SchemaKind kind) {
  switch (kind) {
    case schema::v1::SCHEMA_KIND_JSON_SCHEMA:
      return SchemaKind::kJsonSchema;
    case schema::v1::SCHEMA_KIND_AVRO:
      return SchemaKind::kAvro;
    case schema::v1::SCHEMA_KIND_METRICS_TABLE:
      return SchemaKind::kMetricsTable;
    case schema::v1::SCHEMA_KIND_PROTOBUF:
      return SchemaKind::kProtobuf;
    default:
      return std::nullopt;
  }
}

/// Units may build on each other, whatever their names' order: those that cannot be added yet are
/// tried again while others could be.
void add_units(const std::map<std::string, schema::v1::SchemaChange, std::less<>>& units,
               UnitTable& table) {
  std::vector<const schema::v1::UnitState*> left;
  for (const auto& [name, change] : units) left.push_back(&change.unit());
  for (bool is_progress = true; is_progress && !left.empty();) {
    const auto added = std::erase_if(left, [&table](const schema::v1::UnitState* unit) {
      return table
          .add({.name = unit->name(),
                .base = unit->base(),
                .factor = unit->factor(),
                .offset = unit->offset(),
                .aliases = {unit->aliases().begin(), unit->aliases().end()}})
          .has_value();
    });
    is_progress = added > 0;
  }
}

Result<> nonsense(std::string_view what) {
  return fail(ErrorCode::kInvalidArgument, std::string(what));
}

}  // namespace

// --- Catalogue

const SchemaVersion* Catalogue::find(std::string_view tenant, std::string_view schema_ref) const {
  const auto found = tenants_.find(tenant);
  if (found == tenants_.end()) return nullptr;
  const SchemaRef ref = SchemaRef::parse(schema_ref);
  const auto schema = found->second->schemas.find(ref.id);
  if (schema == found->second->schemas.end()) return nullptr;
  const auto& versions = schema->second.versions;
  auto past = versions.end();
  if (ref.major) past = versions.lower_bound(Version{.major = *ref.major + 1, .minor = 0});
  if (past == versions.begin()) return nullptr;
  const SchemaVersion& latest = *std::prev(past)->second;
  return ref.major && latest.version.major != *ref.major ? nullptr : &latest;
}

const SchemaVersion* Catalogue::find(std::string_view tenant, std::string_view schema_id,
                                     const Version& version) const {
  const auto found = tenants_.find(tenant);
  if (found == tenants_.end()) return nullptr;
  const auto schema = found->second->schemas.find(schema_id);
  if (schema == found->second->schemas.end()) return nullptr;
  const auto at = schema->second.versions.find(version);
  return at == schema->second.versions.end() ? nullptr : at->second.get();
}

const UnitTable& Catalogue::units_of(std::string_view tenant) const {
  const auto found = tenants_.find(tenant);
  return found == tenants_.end() ? nobody_->units : found->second->units;
}

// --- CatalogueTable

Result<> CatalogueTable::apply(std::string_view key, const schema::v1::SchemaChange* change) {
  const auto slash = key.find('/');
  if (slash == std::string_view::npos) return nonsense("key without a tenant");
  const std::string_view tenant = key.substr(0, slash);
  const std::string_view rest = key.substr(slash + 1);
  SLUICE_TRY(check_id(tenant, "tenant"));
  if (change != nullptr) {
    if (change->tenant() != tenant) return nonsense("key and value differ in their tenant");
    std::int64_t& known = revisions_[std::string(key)];
    if (change->revision() < known) return {};
    known = change->revision();
  }
  Source& source = sources_[std::string(tenant)];
  Result<> applied;
  if (rest.starts_with(kUnitPrefix)) {
    applied = apply_unit(source, rest.substr(kUnitPrefix.size()), change);
  } else if (rest.starts_with(kOutlierPrefix)) {
    applied = apply_outlier_policy(source, rest.substr(kOutlierPrefix.size()), change);
  } else {
    const auto second = rest.find('/');
    if (second == std::string_view::npos) return nonsense("key without a version");
    applied = apply_version(source, rest.substr(0, second), rest.substr(second + 1), change);
  }
  SLUICE_TRY(std::move(applied));
  source.is_changed = true;
  is_changed_ = true;
  return {};
}

Result<> CatalogueTable::apply_version(Source& source, std::string_view schema_id,
                                       std::string_view version,
                                       const schema::v1::SchemaChange* change) {
  const auto parsed = Version::parse(version);
  if (!parsed) return nonsense("no version");
  if (change == nullptr) {
    if (const auto found = source.schemas.find(schema_id); found != source.schemas.end()) {
      found->second.erase(*parsed);
      if (found->second.empty()) source.schemas.erase(found);
    }
    return {};
  }
  if (change->schema_id() != schema_id || change->version() != version) {
    return nonsense("key and value differ in schema or version");
  }
  if (!kind_of(change->kind())) return nonsense("a kind of schema that is not known");
  source.schemas[std::string(schema_id)][*parsed] = *change;
  return {};
}

Result<> CatalogueTable::apply_unit(Source& source, std::string_view name,
                                    const schema::v1::SchemaChange* change) {
  if (change == nullptr) {
    if (const auto found = source.units.find(name); found != source.units.end()) {
      source.units.erase(found);
    }
    return {};
  }
  if (!change->has_unit() || change->unit().name() != name) {
    return nonsense("key and value differ in the unit");
  }
  source.units[std::string(name)] = *change;
  return {};
}

Result<> CatalogueTable::apply_outlier_policy(Source& source, std::string_view rest,
                                              const schema::v1::SchemaChange* change) {
  const auto slash = rest.find('/');
  if (slash == std::string_view::npos) return nonsense("key without a metric");
  const std::string schema_id(rest.substr(0, slash));
  const std::string metric(rest.substr(slash + 1));
  if (change == nullptr) {
    if (const auto found = source.outliers.find(schema_id); found != source.outliers.end()) {
      found->second.erase(metric);
      if (found->second.empty()) source.outliers.erase(found);
    }
    return {};
  }
  if (!change->has_outlier_policy()) return nonsense("no outlier policy");
  SLUICE_TRY_ASSIGN(const OutlierRule rule,
                    parse_outlier_rule(change->outlier_policy().settings()));
  source.outliers[schema_id][metric] = rule;
  return {};
}

std::shared_ptr<const Catalogue> CatalogueTable::take_changed() {
  if (!std::exchange(is_changed_, false)) return nullptr;
  auto next = std::make_shared<Catalogue>(*current_);
  for (auto& [tenant, source] : sources_) {
    if (!std::exchange(source.is_changed, false)) continue;
    const auto before = next->tenants_.find(tenant);
    next->tenants_[tenant] = compile_tenant(
        tenant, source, before == next->tenants_.end() ? nullptr : before->second.get());
  }
  next->versions_ = 0;
  for (const auto& [tenant, contents] : next->tenants_) {
    for (const auto& [id, schema] : contents->schemas) next->versions_ += schema.versions.size();
  }
  current_ = std::move(next);
  return current_;
}

std::shared_ptr<const Catalogue::Tenant> CatalogueTable::compile_tenant(
    const std::string& tenant, const Source& source, const Catalogue::Tenant* before) {
  auto made = std::make_shared<Catalogue::Tenant>();
  add_units(source.units, made->units);
  const bool has_same_units = before != nullptr && before->units == made->units;
  std::size_t broken = 0;
  for (const auto& [id, versions] : source.schemas) {
    std::shared_ptr<const OutlierRules> outliers;
    if (const auto found = source.outliers.find(id); found != source.outliers.end()) {
      auto rules = std::make_shared<OutlierRules>();
      for (const auto& [metric, rule] : found->second) rules->set(metric, rule);
      outliers = std::move(rules);
    }
    Catalogue::Schema& schema = made->schemas[id];
    for (const auto& [version, change] : versions) {
      SchemaVersion entry{.id = id,
                          .version = version,
                          .version_text = change.version(),
                          .registered_at_ms = change.registered_at_ms(),
                          .compiled = {},
                          .outliers = outliers};
      if (has_same_units) entry.compiled = compiled_before(*before, id, version, change);
      if (!entry.compiled) {
        auto compiled = compile(*kind_of(change.kind()), change.document(), made->units, limits_);
        if (compiled) {
          entry.compiled = *std::move(compiled);
        } else {
          ++broken;
        }
      }
      schema.versions[version] = std::make_shared<const SchemaVersion>(std::move(entry));
    }
  }
  broken_ += broken;
  broken_ -= std::exchange(broken_by_tenant_[tenant], broken);
  return made;
}

/// A version's document never changes once it is registered, so what was compiled stays good.
std::shared_ptr<const CompiledSchema> CatalogueTable::compiled_before(
    const Catalogue::Tenant& before, const std::string& id, const Version& version,
    const schema::v1::SchemaChange& change) {
  const auto schema = before.schemas.find(id);
  if (schema == before.schemas.end()) return nullptr;
  const auto found = schema->second.versions.find(version);
  if (found == schema->second.versions.end()) return nullptr;
  return found->second->registered_at_ms == change.registered_at_ms() ? found->second->compiled
                                                                      : nullptr;
}

}  // namespace sluice::validator
