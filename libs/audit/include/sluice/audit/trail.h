#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/uuid.h>
#include <sluice/http/audit.h>
#include <sluice/http/request.h>
#include <sluice/kafka/sender.h>
#include <sluice/metrics/metrics.h>

namespace sluice::common::v1 {
class AuditRecord;
}

namespace sluice::audit {

/// The topic, without the namespace; records are keyed by tenant.
inline constexpr std::string_view kTopic = "audit";

/// What was carried out.
struct Deed {
  std::string_view action{};  // "schema.register"
  std::string target{};       // "schema/meter/1.2"
  std::vector<std::string> changed_fields{};
};

/// Tells the topic `audit` what operators did and what they were refused (common.v1.AuditRecord).
///
/// A deed belongs into the transaction that does it: done() gives the record's bytes for its
/// outbox, so that it is told if and only if it happened. Refusals belong to no transaction: as the
/// server's AuditSink it sends them over a sender of their own, and drops and counts
/// (sluice_audit_dropped_total) what Kafka has no room for, so that refusing an
/// attacker never waits for anything. Thread-safe. Everything passed must outlive it.
class Trail final : public http::AuditSink {
 public:
  Trail(std::string service, kafka::Sender& refusals, const Clock& clock, Random& random,
        Registry& registry);

  /// The serialized record of what this request did.
  std::string done(const http::Request& request, const Deed& deed);

  /// Refusals alone; what was done is told by done().
  void record(const http::AuditEntry& entry) override;
  /// The same for a refusal at another door than HTTP, whose record is whole already.
  void send_refusal(const common::v1::AuditRecord& record);

 private:
  Uuid next_id();

  const std::string service_;
  kafka::Sender& refusals_;
  const Clock& clock_;
  Counter dropped_;
  std::mutex mutex_;  // guards uuids_
  UuidGenerator uuids_;
};

}  // namespace sluice::audit
