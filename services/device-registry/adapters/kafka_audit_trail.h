#pragma once

#include "ports.h"

#include <sluice/kafka/sender.h>
#include <sluice/metrics/metrics.h>

namespace sluice::registry {

/// Sends refusals to the topic `audit`, over a sender that is theirs alone. What Kafka has no room
/// for is dropped and counted (sluice_registry_audit_dropped_total), so that refusing an attacker
/// never waits for anything; what was done, as opposed to refused, goes through the outbox and is
/// never lost. Thread-safe.
class KafkaAuditTrail final : public AuditTrail {
 public:
  KafkaAuditTrail(kafka::Sender& sender, Registry& registry);
  void record(const common::v1::AuditRecord& record) override;

 private:
  kafka::Sender& sender_;
  Counter dropped_;
};

}  // namespace sluice::registry
