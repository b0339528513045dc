#include "adapters/kafka_audit_trail.h"

#include "core/records.h"

#include <array>
#include <string>

namespace sluice::registry {

KafkaAuditTrail::KafkaAuditTrail(kafka::Sender& sender, Registry& registry)
    : sender_(sender),
      dropped_(registry.counter("sluice_registry_audit_dropped_total",
                                "Audit records of refusals that Kafka did not take.")) {}

void KafkaAuditTrail::record(const common::v1::AuditRecord& record) {
  const std::string value = record.SerializeAsString();
  const std::array headers{
      kafka::Header{.name = kafka::kTraceHeader, .value = record.traceparent()}};
  kafka::Record message{.topic = kAuditTopic, .key = record.tenant(), .value = value};
  if (!record.traceparent().empty()) message.headers = headers;
  const auto taken = sender_.send(message, [dropped = dropped_](Result<> stored) mutable {
    if (!stored) dropped.add();
  });
  if (!taken) dropped_.add();
}

}  // namespace sluice::registry
