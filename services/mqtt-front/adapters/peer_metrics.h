#pragma once

#include <string_view>

#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// What FrontPeers and its channels count. Handles only; copies share the series.
struct PeerMetrics {
  explicit PeerMetrics(Registry& registry);

  /// A session that another front was asked for in vain, by what it answered.
  void not_released(std::string_view reason);

  Counter sent;
  Counter calls;
  Counter failed;
  Counter not_here;
  Counter queue_full;
  Counter too_many_fronts;
  Counter too_many_releases;
  Counter loop_full;
  Counter release_busy;
  Counter release_not_held;
  Counter release_failed;
  Gauge peers;
};

}  // namespace sluice::front
