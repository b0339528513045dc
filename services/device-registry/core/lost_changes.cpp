#include "core/lost_changes.h"

#include "core/json.h"
#include "core/resource_rules.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <sluice/base/planted_bug.h>

namespace sluice::registry {
namespace {

namespace proto = ::sluice::device::v1;

// 10000-01-01 in microseconds: see next_revision() of the migrations.
constexpr std::int64_t kRevisionBound = 253'402'300'800'000'000;

bool is_revoked(const Resource& device) {
  return text_at(device.fields, "status") == to_string(DeviceStatus::kRevoked);
}

/// For the audit trail: what this service does by itself.
class OwnDeeds {
 public:
  OwnDeeds(const TenantId& tenant, const Occasion& occasion, UuidGenerator& uuids)
      : occasion_(occasion), uuids_(uuids) {
    self_.tenant = tenant;
    self_.kind = common::v1::AUDIT_ACTOR_KIND_SERVICE;
    self_.id = kServiceName;
  }

  void add(std::string_view action, const Resource& target, std::string_view changed_field) {
    records_.push_back(audit_record(self_, {.record_id = uuids_.next(),
                                            .at = occasion_.at,
                                            .action = action,
                                            .target = target_of(target),
                                            .changed_fields = {std::string(changed_field)}}));
  }
  std::vector<OutboxRecord> take() { return std::move(records_); }

 private:
  const Occasion& occasion_;
  UuidGenerator& uuids_;
  Caller self_;
  std::vector<OutboxRecord> records_;
};

/// `device` is as it is stored yet.
Result<> keep_revocations(Transaction& transaction, const Told& told, Resource& device,
                          OwnDeeds& deeds) {
  if (told.is_revoked && !is_revoked(device)) {
    device.fields["status"] = to_string(DeviceStatus::kRevoked);
    device.fields["status_reason"] = "revoked before the database was restored";
    deeds.add("device.set_status", device, "status");
  }
  // Of a later state, credentials that are not in what was told may have been made since.
  if (told.is_gone || told.thing.revision <= device.revision) return {};
  SLUICE_TRY_ASSIGN(const std::vector<std::string> active,
                    transaction.active_credential_ids(device.id));
  for (const std::string& id : active) {
    if (std::ranges::contains(told.active_credential_ids, id)) continue;
    SLUICE_TRY_ASSIGN(const Resource revoked, transaction.revoke(ResourceKind::kCredential, id));
    deeds.add("credential.revoke", revoked, "revoked_at");
  }
  return {};
}

Result<std::optional<Resource>> find_locked(Transaction& transaction, const Resource& thing) {
  auto found = transaction.find(thing.kind, thing.id, Transaction::Lock::kUpdate);
  if (found) return std::optional(*std::move(found));
  if (found.error().code() == ErrorCode::kNotFound) return std::optional<Resource>();
  return fail(std::move(found).error());
}

/// Its record for control.devices.
Result<OutboxRecord> present_state(Transaction& transaction, const Resource& thing,
                                   const Occasion& occasion) {
  if (thing.kind != ResourceKind::kDevice) return *state_record(thing, occasion);
  SLUICE_TRY_ASSIGN(const std::vector<std::string> active,
                    transaction.active_credential_ids(thing.id));
  return device_record(thing, active, occasion);
}

}  // namespace

void Told::follow(Told next) {
  // Not an older state that came late, where the publisher changed: followers drop it, too.
  const bool is_later = is_gone || next.thing.revision > thing.revision;
  thing.revision = std::max(thing.revision, next.thing.revision);
  is_gone = next.is_gone;
  if (next.is_gone || is_later) active_credential_ids = std::move(next.active_credential_ids);
  const bool was_revoked = is_revoked && !SLUICE_PLANTED_BUG("registry_forgets_told_revocation");
  is_revoked = !next.is_gone && (was_revoked || next.is_revoked);
}

std::optional<Told> read_told(std::string_view key, std::optional<std::string_view> value) {
  auto thing = parse_change_key(key);
  if (!thing) return std::nullopt;
  Told told{.thing = *std::move(thing), .is_gone = !value};
  if (!value) return told;
  proto::DeviceChange change;
  if (value->size() > std::numeric_limits<int>::max() ||
      !change.ParseFromArray(value->data(), static_cast<int>(value->size())) ||
      change.revision() <= 0 || change.revision() >= kRevisionBound) {
    return std::nullopt;
  }
  told.thing.revision = change.revision();
  const proto::DeviceState& device = change.device();
  told.is_revoked = device.status() == proto::DEVICE_STATUS_REVOKED;
  told.active_credential_ids.assign(device.active_credential_ids().begin(),
                                    device.active_credential_ids().end());
  return told;
}

bool is_lost(const Told& told, const std::optional<Stored>& stored) {
  if (!stored) return !told.is_gone;
  return told.is_gone || told.thing.revision > stored->revision ||
         (told.is_revoked && !stored->is_revoked);
}

Result<Mended> mend(Transaction& transaction, const Told& told, const Occasion& occasion,
                    UuidGenerator& uuids) {
  SLUICE_TRY_ASSIGN(std::optional<Resource> thing, find_locked(transaction, told.thing));
  const auto stored = thing.transform([](const Resource& found) {
    return Stored{.revision = found.revision, .is_revoked = is_revoked(found)};
  });
  if (!is_lost(told, stored)) return Mended::kNothing;
  if (!thing) {
    SLUICE_TRY(transaction.append_outbox(std::vector{*tombstone(told.thing, occasion)}));
    return Mended::kToldGone;
  }
  OwnDeeds deeds(told.thing.tenant, occasion, uuids);
  if (thing->kind == ResourceKind::kDevice) {
    SLUICE_TRY(keep_revocations(transaction, told, *thing, deeds));
  }
  thing->revision = std::max(thing->revision, told.thing.revision);
  SLUICE_TRY_ASSIGN(const Resource updated, transaction.update(*thing));
  std::vector<OutboxRecord> records = deeds.take();
  SLUICE_TRY_ASSIGN(OutboxRecord state, present_state(transaction, updated, occasion));
  records.push_back(std::move(state));
  SLUICE_TRY(transaction.append_outbox(records));
  return Mended::kToldAnew;
}

}  // namespace sluice::registry
