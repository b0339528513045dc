#pragma once

#include <string_view>

#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// What both session stores count. Handles only; copies share the series.
struct SessionStoreMetrics {
  explicit SessionStoreMetrics(Registry& registry);

  /// A bound was reached; `bound` is the setting's name.
  void refused(std::string_view bound) { refused_by(bound).add(); }

  Counter claims_new, claims_resumed, claims_taken_over, claims_owned, claims_failed;
  Counter dropped_expired;  // messages that were to wait for a session, as the core counts them
  Counter fenced, expired, wills, leases_lost, releases_failed, data_losses, reloads, damaged;
  Gauge sessions, bytes, overdue, lease_valid, retained_waiting;

 private:
  Counter refused_by(std::string_view bound);
  Registry* registry_;
};

}  // namespace sluice::front
