#pragma once

#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// What FrontPeers and its channels count. Handles only; copies share the series.
struct PeerMetrics {
  explicit PeerMetrics(Registry& registry);

  Counter sent;
  Counter calls;
  Counter failed;
  Counter not_here;
  Counter queue_full;
  Counter too_many_fronts;
  Counter too_many_releases;
  Counter loop_full;
  Counter not_released;
  Gauge peers;
};

}  // namespace sluice::front
