// The verbs of devices, credentials and API keys: what is more than making, changing and deleting.

#include "core/catalog.h"
#include "core/credential.h"
#include "core/resource_rules.h"

#include <array>
#include <format>

namespace sluice::registry {
namespace {

using enum ResourceKind;

Result<Resource> find_credential(Transaction& transaction, std::string_view device_id,
                                 std::string_view credential_id, Transaction::Lock lock) {
  SLUICE_TRY_ASSIGN(const std::string id, id_of(kCredential, credential_id));
  SLUICE_TRY_ASSIGN(Resource credential, transaction.find(kCredential, id, lock));
  if (text_at(credential.fields, "device_id") != device_id) return not_found(kCredential);
  return credential;
}

}  // namespace

Result<Written> Catalog::set_device_status(const Caller& caller, std::string_view device_id,
                                           DeviceStatus status, std::string_view reason,
                                           const WriteOptions& options) {
  SLUICE_TRY(check_access(caller, kDevice, Action::kUpdate));
  SLUICE_TRY_ASSIGN(const std::string id, id_of(kDevice, device_id));
  return write(caller, kDevice, options, [&](Transaction& transaction) -> Result<Written> {
    SLUICE_TRY_ASSIGN(Resource device, transaction.find(kDevice, id, Transaction::Lock::kUpdate));
    SLUICE_TRY(options.preconditions.check_write(device.revision));
    const std::string present = text_at(device.fields, "status");
    SLUICE_TRY(
        check_transition(parse_device_status(present).value_or(DeviceStatus::kRevoked), status));
    Written written;
    written.is_changed =
        present != to_string(status) || text_at(device.fields, "status_reason") != reason;
    if (!written.is_changed) {
      written.resource = std::move(device);
      return written;
    }
    device.fields["status"] = to_string(status);
    device.fields.erase("status_reason");
    if (!reason.empty()) device.fields["status_reason"] = reason;
    SLUICE_TRY_ASSIGN(written.resource, transaction.update(device));
    SLUICE_TRY(publish_device(transaction, caller, written.resource, "device.set_status",
                              target_of(written.resource), {"status"}));
    return written;
  });
}

Result<Written> Catalog::add_credential(const Caller& caller, std::string_view device_id,
                                        const Json& body, const WriteOptions& options) {
  SLUICE_TRY(check_access(caller, kCredential, Action::kCreate));
  SLUICE_TRY_ASSIGN(const std::string id, id_of(kDevice, device_id));
  return write(caller, kCredential, options, [&](Transaction& transaction) -> Result<Written> {
    // The device's row is locked first in every write about the device: that is what keeps its
    // records in the order of commits.
    SLUICE_TRY_ASSIGN(const Resource device,
                      transaction.find(kDevice, id, Transaction::Lock::kUpdate));
    SLUICE_TRY_ASSIGN(const std::vector<std::string> active, transaction.active_credential_ids(id));
    if (active.size() >= kMaxActiveCredentials) {
      return fail(Error(ErrorCode::kFailedPrecondition,
                        std::format("the device has {} credentials already: revoke some first",
                                    kMaxActiveCredentials))
                      .with_reason("too_many_credentials"));
    }
    SLUICE_TRY_ASSIGN(PreparedCredential prepared,
                      prepare_credential(body, caller.tenant, id, vault_));
    Written written;
    SLUICE_TRY_ASSIGN(written.resource, transaction.insert_credential(
                                            {.kind = kCredential,
                                             .tenant = caller.tenant,
                                             .id = text_at(prepared.fields, "credential_id"),
                                             .fields = std::move(prepared.fields)},
                                            prepared.secrets));
    written.shown_once = std::move(prepared.shown_once);
    SLUICE_TRY_ASSIGN(const Resource touched, transaction.update(device));
    SLUICE_TRY(publish_device(transaction, caller, touched, "credential.create",
                              target_of(written.resource), {"kind"}));
    return written;
  });
}

Result<Resource> Catalog::get_credential(const Caller& caller, std::string_view device_id,
                                         std::string_view credential_id) {
  SLUICE_TRY(check_access(caller, kCredential, Action::kRead));
  SLUICE_TRY_ASSIGN(const std::string device, id_of(kDevice, device_id));
  return in_transaction(
      store_, Scope::of(caller.tenant), {.mode = Mode::kRead}, [&](Transaction& transaction) {
        return find_credential(transaction, device, credential_id, Transaction::Lock::kNone);
      });
}

Result<Written> Catalog::revoke_credential(const Caller& caller, std::string_view device_id,
                                           std::string_view credential_id,
                                           const WriteOptions& options) {
  SLUICE_TRY(check_access(caller, kCredential, Action::kDelete));
  SLUICE_TRY_ASSIGN(const std::string id, id_of(kDevice, device_id));
  return write(caller, kCredential, options, [&](Transaction& transaction) -> Result<Written> {
    SLUICE_TRY_ASSIGN(const Resource device,
                      transaction.find(kDevice, id, Transaction::Lock::kUpdate));
    SLUICE_TRY_ASSIGN(Resource credential,
                      find_credential(transaction, id, credential_id, Transaction::Lock::kUpdate));
    SLUICE_TRY(options.preconditions.check_write(credential.revision));
    if (credential.fields.contains("revoked_at")) {
      return Written{.resource = std::move(credential), .is_changed = false};
    }
    Written written;
    SLUICE_TRY_ASSIGN(written.resource, transaction.revoke(kCredential, credential.id));
    SLUICE_TRY_ASSIGN(const Resource touched, transaction.update(device));
    SLUICE_TRY(publish_device(transaction, caller, touched, "credential.revoke",
                              target_of(written.resource), {"revoked_at"}));
    return written;
  });
}

Result<Written> Catalog::revoke_api_key(const Caller& caller, std::string_view key_id,
                                        const WriteOptions& options) {
  SLUICE_TRY(check_access(caller, kApiKey, Action::kDelete));
  SLUICE_TRY_ASSIGN(const std::string id, id_of(kApiKey, key_id));
  return write(caller, kApiKey, options, [&](Transaction& transaction) -> Result<Written> {
    SLUICE_TRY_ASSIGN(Resource key, transaction.find(kApiKey, id, Transaction::Lock::kUpdate));
    SLUICE_TRY(options.preconditions.check_write(key.revision));
    if (key.fields.contains("revoked_at")) {
      return Written{.resource = std::move(key), .is_changed = false};
    }
    Written written;
    SLUICE_TRY_ASSIGN(written.resource, transaction.revoke(kApiKey, id));
    SLUICE_TRY(transaction.append_outbox(
        std::array{audit(caller, "api_key.revoke", target_of(written.resource), {"revoked_at"})}));
    return written;
  });
}

}  // namespace sluice::registry
