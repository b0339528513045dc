#include "adapters/attribute_index.h"

#include "adapters/attribute_values.h"
#include "adapters/positions.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <set>
#include <string_view>
#include <vector>

#include <sluice/base/ids.h>
#include <sluice/base/utf8.h>
#include <sluice/device/v1/device_change.pb.h>
#include <sluice/json/json.h>
#include <sluice/postgres/transaction.h>

#include <nlohmann/json.hpp>

namespace sluice::tsdb {
namespace {

using postgres::Transaction;
using DeviceName = std::pair<std::string, std::string>;
/// The last word of a batch on each device: one statement changes a row once.
using LastChanges = std::map<DeviceName, std::optional<DeviceAttributes>>;
using Refused = std::map<AttributeValue, AttributeRefusal>;

// Devices of a tenant that is full say so with every change.
constexpr std::chrono::minutes kTellEvery{1};

/// PostgreSQL keeps neither zero bytes nor what is no UTF-8.
std::string clean(std::string_view text) {
  std::string out = replace_invalid_utf8(text);
  std::ranges::replace(out, '\0', ' ');
  return out;
}

/// `tenant/device` as the key has it; other things have a '$' behind the tenant.
std::optional<DeviceName> device_of_key(std::string_view key) {
  const std::size_t slash = key.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view tenant = key.substr(0, slash);
  const std::string_view device = key.substr(slash + 1);
  if (!check_id(tenant, "") || !check_id(device, "")) return std::nullopt;
  return DeviceName(tenant, device);
}

/// Columns of the statements.
struct Columns {
  std::vector<std::string> tenants;
  std::vector<std::string> devices;
  std::vector<std::int64_t> revisions;
  std::vector<std::string> attributes;

  void add(const DeviceName& device) {
    tenants.push_back(device.first);
    devices.push_back(device.second);
  }
  bool empty() const { return tenants.empty(); }
};

/// A value that says nothing is no label.
std::set<AttributeValue> values_of(const LastChanges& changes) {
  std::set<AttributeValue> values;
  for (const auto& [device, attributes] : changes) {
    if (!attributes) continue;
    for (const auto& [name, value] : attributes->values) {
      if (!value.empty()) values.insert({.tenant = device.first, .name = name, .value = value});
    }
  }
  return values;
}

std::string json_of(const DeviceName& device, const DeviceAttributes& attributes,
                    const Refused& refused) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [name, value] : attributes.values) {
    if (!refused.contains({device.first, name, value})) object[name] = value;
  }
  return to_json_text(object);
}

Result<> store(Transaction& tx, const LastChanges& changes, const Refused& refused) {
  Columns present;
  Columns without;
  Columns gone;
  for (const auto& [device, attributes] : changes) {
    Columns& columns = !attributes ? gone : attributes->values.empty() ? without : present;
    columns.add(device);
    if (!attributes) continue;
    columns.revisions.push_back(attributes->revision);
    columns.attributes.push_back(json_of(device, *attributes, refused));
  }
  if (!present.empty()) {
    SLUICE_TRY(tx.execute(
        "INSERT INTO device_attributes AS a (tenant, device, revision, attributes) "
        "SELECT t, d, r, j::jsonb FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) "
        "  AS u (t, d, r, j) ORDER BY t, d "
        "ON CONFLICT (tenant, device) DO UPDATE SET revision = excluded.revision, "
        "  attributes = excluded.attributes WHERE a.revision < excluded.revision",
        {present.tenants, present.devices, present.revisions, present.attributes}));
  }
  if (!without.empty()) {
    // Only where there were some: most devices have none, and no row.
    SLUICE_TRY(
        tx.execute("UPDATE device_attributes a SET revision = u.r, attributes = '{}' "
                   "FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (t, d, r) "
                   "WHERE a.tenant = u.t AND a.device = u.d AND a.revision < u.r",
                   {without.tenants, without.devices, without.revisions}));
  }
  if (!gone.empty()) {
    SLUICE_TRY(
        tx.execute("DELETE FROM device_attributes a USING unnest($1::text[], $2::text[]) "
                   "  AS u (t, d) WHERE a.tenant = u.t AND a.device = u.d",
                   {gone.tenants, gone.devices}));
  }
  return {};
}

}  // namespace

std::optional<AttributeChange> attribute_change_of(const kafka::RecordView& record) {
  auto device = device_of_key(record.key);
  if (!device) return std::nullopt;
  if (!record.value) return AttributeChange{.device = *std::move(device), .attributes = {}};
  device::v1::DeviceChange change;
  if (record.value->size() > std::numeric_limits<int>::max() ||
      !change.ParseFromArray(record.value->data(), static_cast<int>(record.value->size())) ||
      !change.has_device()) {
    return std::nullopt;
  }
  DeviceAttributes attributes{.revision = change.revision(), .values = {}};
  for (const device::v1::DeviceAttribute& each : change.device().attributes()) {
    if (attributes.values.size() == AttributeIndex::kMostAttributes) break;
    if (each.name().size() <= AttributeIndex::kMaxNameBytes &&
        each.value().size() <= AttributeIndex::kMaxValueBytes) {
      attributes.values.emplace(clean(each.name()), clean(each.value()));
    }
  }
  return AttributeChange{.device = *std::move(device), .attributes = std::move(attributes)};
}

AttributeIndex::AttributeIndex(const AttributeLimits& limits, postgres::Pool& pool,
                               const Clock& clock, const Logger& log, Registry& registry)
    : limits_(limits),
      pool_(pool),
      clock_(clock),
      log_(log),
      stored_(registry.counter("sluice_tsdb_writer_attribute_changes_total",
                               "States of devices whose attributes were brought up to date.")),
      left_out_(registry.counter("sluice_tsdb_writer_attribute_changes_left_out_total",
                                 "States that the database refused for good.")),
      too_many_names_(registry.counter("sluice_tsdb_writer_attributes_refused_total",
                                       "Values of attributes left out, by the limit they met.",
                                       {{"reason", "too_many_names"}})),
      too_many_values_(registry.counter("sluice_tsdb_writer_attributes_refused_total",
                                        "Values of attributes left out, by the limit they met.",
                                        {{"reason", "too_many_values"}})) {}

Result<std::vector<kafka::StartPosition>> AttributeIndex::on_assigned(
    std::span<const kafka::TopicPartition> partitions) {
  std::vector<TopicPartition> asked;
  for (const kafka::TopicPartition& each : partitions) {
    asked.push_back({each.topic, each.partition.value()});
  }
  SLUICE_TRY_ASSIGN(const auto positions,
                    postgres::transaction(pool_, {.all_tenants = true}, [&](Transaction& tx) {
                      return read_positions(tx, asked);
                    }));
  std::vector<kafka::StartPosition> starts;
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    // Not where the group has committed: these tables have nothing yet, whatever others had.
    starts.push_back({.partition = partitions[i],
                      .offset = kafka::Offset(positions[i].value_or(Offset(0)).value())});
  }
  return starts;
}

Result<> AttributeIndex::on_batch(std::span<const kafka::RecordView> records,
                                  kafka::ConsumerControl& /*control*/) {
  LastChanges last;
  std::map<TopicPartition, std::int64_t> nexts;
  for (const kafka::RecordView& record : records) {
    nexts[{std::string(record.topic), record.partition.value()}] = record.offset.value() + 1;
    auto change = attribute_change_of(record);
    if (!change) continue;
    const auto [known, is_new] = last.try_emplace(change->device, change->attributes);
    const bool is_older = !is_new && known->second && change->attributes &&
                          change->attributes->revision < known->second->revision;
    if (!is_older) known->second = std::move(change->attributes);
  }
  std::vector<Position> positions;
  for (const auto& [partition, next] : nexts) {
    positions.push_back({.partition = partition, .next = Offset(next)});
  }
  const std::set<AttributeValue> values = values_of(last);
  SLUICE_TRY_ASSIGN(
      const Refused refused,
      postgres::transaction(pool_, {.all_tenants = true}, [&](Transaction& tx) -> Result<Refused> {
        SLUICE_TRY_ASSIGN(Refused too_much, learn_values(tx, values, limits_));
        SLUICE_TRY(store(tx, last, too_much));
        SLUICE_TRY(move_positions(tx, positions));
        return too_much;
      }));
  stored_.add(last.size());
  note_refused(refused);
  return {};
}

Result<> AttributeIndex::on_poison(const kafka::RecordView& /*record*/, const Error& /*error*/,
                                   int /*attempts*/) {
  left_out_.add();
  return {};
}

void AttributeIndex::note_refused(const Refused& refused) {
  if (refused.empty()) return;
  for (const auto& [value, reason] : refused) {
    (reason == AttributeRefusal::kTooManyNames ? too_many_names_ : too_many_values_).add();
  }
  if (clock_.mono() < tell_again_at_) return;
  tell_again_at_ = clock_.mono() + kTellEvery;
  const auto& [value, reason] = *refused.begin();
  const bool is_names = reason == AttributeRefusal::kTooManyNames;
  log_.warning("attributes_refused",
               {{"tenant", value.tenant},
                {"attribute", value.name},
                {is_names ? "max_attribute_names" : "max_attribute_values",
                 static_cast<std::int64_t>(is_names ? limits_.names : limits_.values_of_name)}});
}

}  // namespace sluice::tsdb
