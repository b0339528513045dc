#include "core/device_change.h"

#include <algorithm>
#include <format>

#include <sluice/base/ids.h>
#include <sluice/device/v1/device_change.pb.h>

namespace sluice::front {

namespace {

namespace proto = ::sluice::device::v1;
using Scope = DeviceChange::Scope;

constexpr std::string_view kClassKind = "$class";
constexpr std::string_view kPolicyKind = "$policy";
constexpr std::string_view kTenantKind = "$tenant";

/// Scope, tenant and name as the key tells them.
Result<DeviceChange> read_key(std::string_view key) {
  DeviceChange change;
  const std::size_t first = key.find('/');
  if (first == std::string_view::npos) {
    return fail(ErrorCode::kInvalidArgument, "the key has no tenant");
  }
  change.tenant = key.substr(0, first);
  std::string_view rest = key.substr(first + 1);
  SLUICE_TRY(check_id(change.tenant, "tenant"));
  if (rest == kTenantKind) {
    change.scope = Scope::kTenant;
    return change;
  }
  const std::size_t second = rest.find('/');
  if (second != std::string_view::npos) {
    const std::string_view kind = rest.substr(0, second);
    if (kind != kClassKind && kind != kPolicyKind) {
      return fail(ErrorCode::kInvalidArgument, "the key is of no known kind");
    }
    change.scope = kind == kClassKind ? Scope::kDeviceClass : Scope::kTopicPolicy;
    rest.remove_prefix(second + 1);
  }
  SLUICE_TRY(check_id(rest, "name"));
  change.name = rest;
  return change;
}

std::string_view end_reason_of(proto::DeviceStatus status) {
  switch (status) {
    case proto::DEVICE_STATUS_ACTIVE:
      return {};
    case proto::DEVICE_STATUS_INACTIVE:
      return "device_inactive";
    case proto::DEVICE_STATUS_QUARANTINED:
      return "device_quarantined";
    default:
      // REVOKED, and whatever a later registry may say that this front does not know.
      return "device_revoked";
  }
}

Result<> read_state(const proto::DeviceChange& value, DeviceChange& change) {
  const auto mismatch = [] {
    return fail(ErrorCode::kInvalidArgument, "key and value are of different things");
  };
  switch (value.state_case()) {
    case proto::DeviceChange::kDevice:
      if (change.scope != Scope::kDevice || value.device().device() != change.name) {
        return mismatch();
      }
      change.end_reason = end_reason_of(value.device().status());
      change.active_credential_ids.assign(value.device().active_credential_ids().begin(),
                                          value.device().active_credential_ids().end());
      return {};
    case proto::DeviceChange::kDeviceClass:
      if (change.scope != Scope::kDeviceClass ||
          value.device_class().device_class() != change.name) {
        return mismatch();
      }
      return {};
    case proto::DeviceChange::kTopicPolicy:
      if (change.scope != Scope::kTopicPolicy ||
          value.topic_policy().topic_policy() != change.name) {
        return mismatch();
      }
      return {};
    case proto::DeviceChange::kTenantState:
      if (change.scope != Scope::kTenant) return mismatch();
      if (!value.tenant_state().is_active()) change.end_reason = "tenant_suspended";
      return {};
    case proto::DeviceChange::STATE_NOT_SET:
      break;
  }
  return fail(ErrorCode::kInvalidArgument, "no state is set");
}

bool concerns(const DeviceChange& change, const Identity& identity) {
  if (change.tenant != identity.tenant.value()) return false;
  switch (change.scope) {
    case Scope::kDevice:
      return change.name == identity.device.value();
    case Scope::kDeviceClass:
      return change.name == identity.device_class.value();
    case Scope::kTopicPolicy:
      return change.name == identity.topic_policy;
    case Scope::kTenant:
      return true;
  }
  return false;
}

}  // namespace

Result<DeviceChange> read_device_change(std::string_view key, const proto::DeviceChange* value) {
  SLUICE_TRY_ASSIGN(DeviceChange change, read_key(key));
  if (value == nullptr) {
    change.is_gone = true;
    if (change.scope == Scope::kDevice) change.end_reason = "device_gone";
    if (change.scope == Scope::kTenant) change.end_reason = "tenant_gone";
    return change;
  }
  if (value->tenant() != change.tenant || value->revision() <= 0) {
    return fail(ErrorCode::kInvalidArgument, "the tenant is not the key's, or no revision is set");
  }
  change.revision = value->revision();
  SLUICE_TRY(read_state(*value, change));
  return change;
}

std::int64_t known_revision(Scope scope, const Identity& identity) {
  switch (scope) {
    case Scope::kDevice:
      return identity.revision;
    case Scope::kDeviceClass:
      return identity.class_revision;
    case Scope::kTopicPolicy:
      return identity.policy_revision;
    case Scope::kTenant:
      break;
  }
  return 0;
}

bool knows(const Identity& identity, const DeviceChange& change) {
  return !change.is_gone && change.revision <= known_revision(change.scope, identity);
}

SessionEffect effect_on_session(const DeviceChange& change, const Identity& identity) {
  using Action = SessionEffect::Action;
  if (!concerns(change, identity)) return {};
  const bool is_of_device = change.scope == Scope::kDevice;
  // A state that the identity was made from, or an older one that came late.
  if (knows(identity, change)) return {};
  if (!change.end_reason.empty()) return {Action::kEnd, change.end_reason};
  // What else a tenant's record says is no business of its devices.
  if (change.scope == Scope::kTenant) return {};
  if (is_of_device && !identity.credential_id.empty() &&
      !std::ranges::contains(change.active_credential_ids, identity.credential_id)) {
    return {Action::kEnd, "credential_revoked"};
  }
  return {Action::kLookAgain, {}};
}

}  // namespace sluice::front
