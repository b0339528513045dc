#include "adapters/postgres_tables.h"

#include "core/json.h"
#include "core/presence.h"

#include <array>
#include <chrono>
#include <format>
#include <optional>

#include <sluice/base/clock.h>

namespace sluice::registry {
namespace {

using Type = Column::Type;
using Use = Column::Use;

constexpr Column kMetadata{"metadata", Type::kJson};
constexpr Column kName{"name"};
constexpr Column kCreatedAt{"created_at", Type::kTime, Use::kStamped};
constexpr Column kUpdatedAt{"updated_at", Type::kTime, Use::kStamped};
constexpr Column kRevokedAt{"revoked_at", Type::kTime, Use::kStamped};
constexpr Column kExpiresAt{"expires_at", Type::kTime, Use::kKey};

constexpr std::array kTenantColumns{Column{"tenant_id", Type::kText, Use::kKey},
                                    kName,
                                    Column{"status"},
                                    kMetadata,
                                    kCreatedAt,
                                    kUpdatedAt};

constexpr std::array kFleetColumns{Column{"fleet_id", Type::kText, Use::kKey},
                                   kName,
                                   Column{"routing_rules_json", Type::kJson},
                                   kMetadata,
                                   kCreatedAt,
                                   kUpdatedAt};

constexpr std::array kDeviceClassColumns{Column{"device_class_id", Type::kText, Use::kKey},
                                         kName,
                                         Column{"schema_id"},
                                         Column{"topic_policy_id"},
                                         Column{"max_qos", Type::kInteger},
                                         Column{"is_lossy", Type::kBoolean},
                                         Column{"limits", Type::kJson},
                                         kMetadata,
                                         kCreatedAt,
                                         kUpdatedAt};

constexpr std::array kTopicPolicyColumns{Column{"topic_policy_id", Type::kText, Use::kKey},
                                         kName,
                                         Column{"rules", Type::kJson},
                                         kMetadata,
                                         kCreatedAt,
                                         kUpdatedAt};

constexpr std::array kDeviceColumns{Column{"device_id", Type::kText, Use::kKey},
                                    Column{"external_id"},
                                    Column{"fleet_id"},
                                    Column{"device_class"},
                                    Column{"schema_id"},
                                    Column{"model"},
                                    Column{"firmware_version"},
                                    Column{"status"},
                                    Column{"status_reason"},
                                    kMetadata,
                                    Column{"registered_at", Type::kTime, Use::kStamped},
                                    kUpdatedAt};

constexpr std::array kCredentialColumns{Column{"credential_id", Type::kText, Use::kKey},
                                        Column{"device_id", Type::kText, Use::kKey},
                                        Column{"kind", Type::kText, Use::kKey},
                                        Column{"psk_identity", Type::kText, Use::kKey},
                                        Column{"fingerprint_sha256", Type::kText, Use::kKey},
                                        Column{"common_name", Type::kText, Use::kKey},
                                        Column{"serial", Type::kText, Use::kKey},
                                        Column{"issuer", Type::kText, Use::kKey},
                                        kExpiresAt,
                                        kCreatedAt,
                                        kRevokedAt};

constexpr std::array kApiKeyColumns{Column{"key_id", Type::kText, Use::kKey},
                                    Column{"name", Type::kText, Use::kKey},
                                    Column{"role", Type::kText, Use::kKey},
                                    kExpiresAt,
                                    kCreatedAt,
                                    kRevokedAt};

/// Whether the tenant is a column beside the id, and not the id itself.
bool has_tenant_column(const Table& table) { return table.id != "tenant_id"; }

std::string condition(const Table& table) {
  // Every statement takes tenant and id, so that callers need no case of their own.
  return has_tenant_column(table) ? std::format("tenant_id = $1 AND {} = $2", table.id)
                                  : "tenant_id = $2 AND $1::text IS NOT NULL";
}

std::string make_insert(const Table& table) {
  std::string names = has_tenant_column(table) ? "tenant_id" : "";
  std::string values = has_tenant_column(table) ? "$1" : "";
  int next = 2;
  for (const Use use : {Use::kKey, Use::kField}) {
    for (const Column& column : table.columns) {
      if (column.use != use) continue;
      names += std::format("{}{}", names.empty() ? "" : ", ", column.name);
      values += std::format("{}${}", values.empty() ? "" : ", ", next++);
    }
  }
  const std::string with_tenant =
      has_tenant_column(table) ? std::string() : "WITH unused AS (SELECT $1::text) ";
  return std::format("{}INSERT INTO {} AS t ({}) VALUES ({}) RETURNING {}", with_tenant, table.name,
                     names, values, table.shown());
}

std::string make_update(const Table& table) {
  std::string sets;
  int next = 3;
  for (const Column& column : table.columns) {
    if (column.use == Use::kField) sets += std::format("{} = ${}, ", column.name, next++);
  }
  // Above the row's own revision even where the server's clock was set back.
  return std::format(
      "UPDATE {} AS t SET {}revision = greatest(t.revision + 1, ${}::bigint + 1, next_revision()), "
      "updated_at = now() WHERE {} RETURNING {}",
      table.name, sets, next, condition(table), table.shown());
}

Table make_table(std::string_view name, std::string_view id, std::span<const Column> columns) {
  Table table{.name = name, .id = id, .columns = columns};
  table.find =
      std::format("SELECT {} FROM {} AS t WHERE {}", table.shown(), name, condition(table));
  // Not FOR UPDATE, which waits for every transaction that writes rows referring to this one: an
  // import would hold up changes of its fleet and its tenant to its end.
  table.find_locked = table.find + " FOR NO KEY UPDATE";
  table.insert = make_insert(table);
  table.update = make_update(table);
  table.remove = std::format("DELETE FROM {} WHERE {}", name, condition(table));
  return table;
}

Json read_value(const postgres::Row& row, std::string_view name, Type type) {
  switch (type) {
    case Type::kText:
      return row.get<std::string>(name);
    case Type::kJson:
      // Written from a checked document by this program: what cannot be read is shown as null.
      return Json::parse(row.text(name), nullptr, false);
    case Type::kTime:
      return format_rfc3339(row.get<WallTime>(name));
    case Type::kInteger:
      return row.get<std::int16_t>(name);
    case Type::kBoolean:
      return row.get<bool>(name);
  }
  return nullptr;
}

// One look into another table instead of one for each of its columns. Times as milliseconds:
// spelled by the server they would be in its time zone and with as many digits as they need.
constexpr std::string_view kPresenceOfDevice =
    ", (SELECT jsonb_build_object("
    "'session_epoch', p.session_epoch, 'connected', p.connected, 'front', p.front, "
    "'protocol', p.protocol, 'credential_id', p.credential_id, 'address', p.address, "
    "'disconnect_reason', p.disconnect_reason, "
    "'connected_at', floor(extract(epoch FROM p.connected_at) * 1000)::bigint, "
    "'disconnected_at', floor(extract(epoch FROM p.disconnected_at) * 1000)::bigint, "
    "'last_seen_at', floor(extract(epoch FROM p.last_seen_at) * 1000)::bigint, "
    "'provisioned_at', floor(extract(epoch FROM p.provisioned_at) * 1000)::bigint) "
    "FROM device_presence AS p WHERE p.tenant_id = t.tenant_id AND p.device_id = t.device_id) "
    "AS presence";

std::optional<WallTime> time_at(const Json& object, std::string_view name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return WallTime{std::chrono::milliseconds(found->get<std::int64_t>())};
}

Presence presence_of(const Json& row) {
  Presence presence{.session_epoch = static_cast<std::uint64_t>(integer_at(row, "session_epoch")),
                    .last_seen_at = time_at(row, "last_seen_at"),
                    .provisioned_at = time_at(row, "provisioned_at")};
  if (const auto at = time_at(row, "connected_at")) {
    presence.begin = SessionBegin{.at = *at,
                                  .front = text_at(row, "front"),
                                  .protocol = text_at(row, "protocol"),
                                  .credential_id = text_at(row, "credential_id"),
                                  .address = text_at(row, "address")};
  }
  if (const auto at = time_at(row, "disconnected_at")) {
    presence.end = SessionEnd{.at = *at, .reason = text_at(row, "disconnect_reason")};
  }
  return presence;
}

}  // namespace

std::string Table::shown() const {
  std::string out = columns_of("t", "");
  if (name == "devices") out += kPresenceOfDevice;
  return out;
}

Resource read_shown(const postgres::Row& row, ResourceKind kind) {
  Resource resource = read_resource(row, kind);
  if (kind == ResourceKind::kDevice && !row.is_null("presence")) {
    show_presence(presence_of(Json::parse(row.text("presence"), nullptr, false)), resource.fields);
  }
  return resource;
}

std::string Table::columns_of(std::string_view alias, std::string_view prefix,
                              Metadata metadata) const {
  std::string out =
      std::format("{0}.tenant_id AS {1}tenant, {0}.revision AS {1}revision", alias, prefix);
  for (const Column& column : columns) {
    if (metadata == Metadata::kNull && column.name == kMetadata.name) {
      out += std::format(", NULL AS {}{}", prefix, column.name);
    } else {
      out += std::format(", {}.{} AS {}{}", alias, column.name, prefix, column.name);
    }
  }
  return out;
}

const Table& table_of(ResourceKind kind) {
  // In the order of ResourceKind.
  static const std::array<Table, 7> tables{
      make_table("tenants", "tenant_id", kTenantColumns),
      make_table("fleets", "fleet_id", kFleetColumns),
      make_table("device_classes", "device_class_id", kDeviceClassColumns),
      make_table("topic_policies", "topic_policy_id", kTopicPolicyColumns),
      make_table("devices", "device_id", kDeviceColumns),
      make_table("credentials", "credential_id", kCredentialColumns),
      make_table("api_keys", "key_id", kApiKeyColumns),
  };
  return tables[static_cast<std::size_t>(kind)];
}

Resource read_resource(const postgres::Row& row, ResourceKind kind, std::string_view prefix) {
  const Table& table = table_of(kind);
  std::string name(prefix);
  const auto column = [&](std::string_view bare) -> std::string_view {
    name.resize(prefix.size());
    return name += bare;
  };
  Resource resource{.kind = kind};
  resource.tenant = TenantId(row.get<std::string>(column("tenant")));
  resource.revision = row.get<std::int64_t>(column("revision"));
  for (const Column& each : table.columns) {
    if (!row.is_null(column(each.name))) {
      resource.fields[std::string(each.name)] = read_value(row, name, each.type);
    }
  }
  resource.id = text_at(resource.fields, table.id);
  return resource;
}

void add_params(const Resource& resource, Use use, std::vector<postgres::Param>& params) {
  for (const Column& column : table_of(resource.kind).columns) {
    if (column.use != use) continue;
    const auto found = resource.fields.find(column.name);
    if (found == resource.fields.end() || found->is_null()) {
      params.emplace_back(nullptr);
    } else if (found->is_string() && column.type != Type::kJson) {
      params.emplace_back(found->get_ref<const std::string&>());
    } else {
      // Numbers and truth values are spelled in JSON as in SQL.
      params.emplace_back(found->dump());
    }
  }
}

}  // namespace sluice::registry
