#include "adapters/rest_audit.h"

#include "core/records.h"

namespace sluice::registry {
namespace {

/// "tenants/acme": what the request was about, out of the route's parameters.
std::string target_of(const http::AuditEntry& entry) {
  std::string target;
  for (const auto& [name, value] : entry.path_params) {
    if (!target.empty()) target += ' ';
    target += name.substr(0, name.rfind("_id")) + '/' + value;
  }
  return target;
}

}  // namespace

void RestAudit::record(const http::AuditEntry& entry) {
  if (entry.outcome != http::AuditEntry::Outcome::kRefused) return;
  common::v1::AuditRecord record;
  {
    const std::lock_guard lock(mutex_);
    const Uuid id = uuids_.next();
    record.set_record_id(id.bytes.data(), id.bytes.size());
  }
  record.set_at_ms(clock_.wall().time_since_epoch().count());
  record.set_service(std::string(kServiceName));
  auto& actor = *record.mutable_actor();
  actor.set_address(entry.peer_ip);
  if (entry.caller) {
    const bool is_oidc = entry.caller->credential_id == "oidc";
    actor.set_kind(is_oidc ? common::v1::AUDIT_ACTOR_KIND_OIDC
                           : common::v1::AUDIT_ACTOR_KIND_API_KEY);
    actor.set_id(is_oidc ? entry.caller->subject : entry.caller->credential_id);
    actor.set_tenant(entry.caller->tenant.value());
    record.set_tenant(entry.caller->tenant.value());
  } else {
    actor.set_kind(common::v1::AUDIT_ACTOR_KIND_ANONYMOUS);
  }
  record.set_action(entry.action);
  record.set_target(target_of(entry));
  record.set_outcome(common::v1::AUDIT_OUTCOME_REFUSED);
  record.set_reason(entry.reason);
  trail_.record(record);
}

}  // namespace sluice::registry
