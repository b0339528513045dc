#include <sluice/audit/trail.h>

#include <array>
#include <utility>

#include <sluice/auth/principal.h>
#include <sluice/common/v1/audit_record.pb.h>

namespace sluice::audit {
namespace {

void set_actor(const auth::Principal& caller, common::v1::AuditRecord& record) {
  const bool is_oidc = caller.credential_id == auth::kOidcCredential;
  common::v1::AuditActor& actor = *record.mutable_actor();
  actor.set_kind(is_oidc ? common::v1::AUDIT_ACTOR_KIND_OIDC
                         : common::v1::AUDIT_ACTOR_KIND_API_KEY);
  actor.set_id(is_oidc ? caller.subject : caller.credential_id);
  actor.set_tenant(caller.tenant.value());
  record.set_tenant(caller.tenant.value());
}

/// "schemas/meter": what the request was about, out of the route's parameters.
std::string target_of(const http::AuditEntry& entry) {
  std::string target;
  for (const auto& [name, value] : entry.path_params) {
    if (!target.empty()) target += ' ';
    target += name.substr(0, name.rfind("_id")) + '/' + value;
  }
  return target;
}

}  // namespace

Trail::Trail(std::string service, kafka::Sender& refusals, const Clock& clock, Random& random,
             Registry& registry)
    : service_(std::move(service)),
      refusals_(refusals),
      clock_(clock),
      dropped_(registry.counter("sluice_audit_dropped_total",
                                "Audit records of refusals that Kafka did not take.")),
      uuids_(clock, random) {}

Uuid Trail::next_id() {
  const std::lock_guard lock(mutex_);
  return uuids_.next();
}

std::string Trail::done(const http::Request& request, const Deed& deed) {
  common::v1::AuditRecord record;
  const Uuid id = next_id();
  record.set_record_id(id.bytes.data(), id.bytes.size());
  record.set_at_ms(clock_.wall().time_since_epoch().count());
  record.set_service(service_);
  set_actor(request.principal(), record);
  record.mutable_actor()->set_address(request.peer.ip);
  record.set_action(std::string(deed.action));
  record.set_target(deed.target);
  record.set_outcome(common::v1::AUDIT_OUTCOME_DONE);
  for (const std::string& field : deed.changed_fields) record.add_changed_fields(field);
  record.set_traceparent(request.trace.traceparent());
  return record.SerializeAsString();
}

void Trail::record(const http::AuditEntry& entry) {
  if (entry.outcome != http::AuditEntry::Outcome::kRefused) return;
  common::v1::AuditRecord record;
  const Uuid id = next_id();
  record.set_record_id(id.bytes.data(), id.bytes.size());
  record.set_at_ms(clock_.wall().time_since_epoch().count());
  record.set_service(service_);
  if (entry.caller) {
    set_actor(*entry.caller, record);
  } else {
    record.mutable_actor()->set_kind(common::v1::AUDIT_ACTOR_KIND_ANONYMOUS);
  }
  record.mutable_actor()->set_address(entry.peer_ip);
  record.set_action(entry.action);
  record.set_target(target_of(entry));
  record.set_outcome(common::v1::AUDIT_OUTCOME_REFUSED);
  record.set_reason(entry.reason);
  send_refusal(record);
}

void Trail::send_refusal(const common::v1::AuditRecord& record) {
  const std::string value = record.SerializeAsString();
  const std::array headers{
      kafka::Header{.name = kafka::kTraceHeader, .value = record.traceparent()}};
  kafka::Record message{.topic = kTopic, .key = record.tenant(), .value = value};
  if (!record.traceparent().empty()) message.headers = headers;
  const auto taken = refusals_.send(message, [dropped = dropped_](Result<> stored) mutable {
    if (!stored) dropped.add();
  });
  if (!taken) dropped_.add();
}

}  // namespace sluice::audit
