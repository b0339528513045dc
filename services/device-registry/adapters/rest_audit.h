#pragma once

#include "ports.h"

#include <mutex>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/uuid.h>
#include <sluice/http/audit.h>

namespace sluice::registry {

/// Tells the audit trail of operators that were refused. What was done is recorded by the core, in
/// the transaction that did it. Thread-safe.
class RestAudit final : public http::AuditSink {
 public:
  RestAudit(AuditTrail& trail, const Clock& clock, Random& random)
      : trail_(trail), clock_(clock), uuids_(clock, random) {}
  void record(const http::AuditEntry& entry) override;

 private:
  AuditTrail& trail_;
  const Clock& clock_;
  std::mutex mutex_;  // guards uuids_
  UuidGenerator uuids_;
};

}  // namespace sluice::registry
