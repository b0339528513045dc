#include "adapters/peer_metrics.h"

#include "ports.h"

#include <string>

namespace sluice::front {
namespace {

Counter refused(Registry& registry, const std::string& cause) {
  return registry.counter("sluice_mqtt_peer_refused_total",
                          "What was not handed to another front or loop, as too much waits.",
                          {{"cause", cause}});
}

Counter not_released_by(Registry& registry, const std::string& cause) {
  return registry.counter("sluice_mqtt_peer_releases_failed_total",
                          "Sessions that another front was asked for in vain, by cause.",
                          {{"cause", cause}});
}

}  // namespace

PeerMetrics::PeerMetrics(Registry& registry)
    : sent(registry.counter("sluice_mqtt_peer_messages_total",
                            "Messages that were sent to other fronts.")),
      calls(
          registry.counter("sluice_mqtt_peer_batches_total", "Calls that these messages went in.")),
      failed(registry.counter("sluice_mqtt_peer_messages_failed_total",
                              "Messages of calls that failed: they may have arrived.")),
      not_here(registry.counter("sluice_mqtt_peer_messages_not_here_total",
                                "Messages for sessions that the other front did not hold.")),
      queue_full(refused(registry, "queue_full")),
      too_many_fronts(refused(registry, "too_many_fronts")),
      too_many_releases(refused(registry, "too_many_releases")),
      loop_full(refused(registry, "loop_full")),
      release_busy(not_released_by(registry, std::string(kSessionBusy))),
      release_not_held(not_released_by(registry, "not_held")),
      release_failed(not_released_by(registry, "failed")),
      peers(registry.gauge("sluice_mqtt_peers", "Other fronts with an open channel.")) {}

void PeerMetrics::not_released(std::string_view reason) {
  (reason == kSessionBusy ? release_busy
   : reason == "not_held" ? release_not_held
                          : release_failed)
      .add();
}

}  // namespace sluice::front
