#include <sluice/registry_client/operator_keys.h>

#include <limits>
#include <utility>

#include <sluice/device/v1/device_change.pb.h>
#include <sluice/device/v1/device_registry.grpc.pb.h>
#include <sluice/grpc/raw.h>
#include <sluice/kafka/topics.h>

namespace sluice::registry_client {
namespace {

using Service = device::v1::DeviceRegistryService;

std::optional<auth::Role> role_of(device::v1::OperatorRole role) {
  switch (role) {
    case device::v1::OPERATOR_ROLE_VIEWER:
      return auth::Role::kViewer;
    case device::v1::OPERATOR_ROLE_OPERATOR:
      return auth::Role::kOperator;
    case device::v1::OPERATOR_ROLE_ADMIN:
      return auth::Role::kAdmin;
    default:
      return std::nullopt;
  }
}

}  // namespace

struct RegistryKeyStore::Impl {
  rpc::Client<Service> client;
  Random& random;
};

RegistryKeyStore::RegistryKeyStore(rpc::Channel& channel, Random& random)
    : impl_(new Impl{.client = rpc::Client<Service>(channel), .random = random}) {}
RegistryKeyStore::~RegistryKeyStore() = default;

Result<std::optional<auth::ApiKeyRecord>> RegistryKeyStore::find(std::string_view /*id*/) {
  return fail(ErrorCode::kUnimplemented, "the registry knows keys by their secret alone");
}

Result<std::optional<auth::ApiKeyRecord>> RegistryKeyStore::find_presented(
    const crypto::Token& key) {
  device::v1::VerifyOperatorKeyRequest request;
  request.set_key(key.text(crypto::kApiKeyPrefix).reveal());
  SLUICE_TRY_ASSIGN(const device::v1::VerifyOperatorKeyResponse answer,
                    impl_->client.call(&rpc::Client<Service>::Stub::VerifyOperatorKey, request,
                                       {.is_idempotent = true}));
  const auto role = role_of(answer.role());
  if (!answer.is_valid() || !role) return std::optional<auth::ApiKeyRecord>();
  return std::optional(
      auth::ApiKeyRecord{.id = key.id,
                         .hash = crypto::SaltedHash::of(key.secret.reveal(), impl_->random),
                         .tenant = TenantId(answer.tenant()),
                         .role = *role,
                         .name = answer.key_id()});
}

TenantTable::TenantTable(std::unique_ptr<kafka::Consumer> consumer,
                         const kafka::ConsumerConfig& limits, const Clock& clock, const Logger& log,
                         Registry& registry)
    : reader_({.topic = std::string(kafka::topics::kControlDevices.name), .limits = limits}, clock,
              log, registry, std::move(consumer), *this) {}

void TenantTable::on_change(const kafka::RecordView& record) {
  const auto slash = record.key.find('/');
  if (slash == std::string_view::npos || record.key.substr(slash + 1) != "$tenant") return;
  bool is_active = false;
  if (record.value && record.value->size() <= std::numeric_limits<int>::max()) {
    device::v1::DeviceChange change;
    is_active =
        change.ParseFromArray(record.value->data(), static_cast<int>(record.value->size())) &&
        change.tenant_state().is_active();
  }
  const std::lock_guard lock(mutex_);
  tenants_[std::string(record.key.substr(0, slash))] = is_active;
}

Result<bool> TenantTable::is_active(const TenantId& tenant) {
  if (!reader_.caught_up()) return fail(ErrorCode::kUnavailable, "control.devices is being read");
  const std::lock_guard lock(mutex_);
  const auto found = tenants_.find(tenant.value());
  return found != tenants_.end() && found->second;
}

}  // namespace sluice::registry_client
