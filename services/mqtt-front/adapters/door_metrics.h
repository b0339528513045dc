#pragma once

#include <vector>

#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// What GrpcDoor counts. Handles only; copies share the series.
struct DoorMetrics {
  explicit DoorMetrics(Registry& registry);

  Counter delivered;
  Counter queued;
  Counter dropped;
  Counter unanswered;
  std::vector<Counter> deliveries;  // by mqtt::v1::DeliveryOutcome
};

}  // namespace sluice::front
