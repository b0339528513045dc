#include "adapters/session_store_metrics.h"

#include <string>

namespace sluice::front {
namespace {

Counter claims(Registry& registry, const char* outcome) {
  return registry.counter("sluice_mqtt_session_store_claims_total",
                          "Claims of sessions by outcome.", {{"outcome", outcome}});
}

}  // namespace

SessionStoreMetrics::SessionStoreMetrics(Registry& registry)
    : claims_new(claims(registry, "new")),
      claims_resumed(claims(registry, "resumed")),
      claims_taken_over(claims(registry, "taken_over")),
      claims_owned(claims(registry, "owned")),
      claims_failed(claims(registry, "failed")),
      dropped_expired(registry.counter("sluice_mqtt_dropped_total",
                                       "Messages not passed on, by reason.",
                                       {{"reason", "expired"}})),
      fenced(registry.counter("sluice_mqtt_session_store_fenced_total",
                              "Writes of a session refused since it has a later owner.")),
      expired(registry.counter("sluice_mqtt_session_store_expired_total",
                               "Sessions ended because their expiry was over; memory alone.")),
      wills(registry.counter("sluice_mqtt_session_store_wills_total",
                             "Wills handed to this front to publish.")),
      leases_lost(registry.counter("sluice_mqtt_session_store_leases_lost_total",
                                   "Times this front had to stop acting as an owner.")),
      releases_failed(registry.counter(
          "sluice_mqtt_session_store_releases_failed_total",
          "Sessions of which the store may not know that this front has let go; tried again.")),
      data_losses(registry.counter("sluice_mqtt_session_store_data_losses_total",
                                   "Times the store was found to have lost its data.")),
      reloads(registry.counter(
          "sluice_mqtt_session_store_reloads_total",
          "Times all wide subscriptions or all retained messages were read anew.")),
      damaged(registry.counter("sluice_mqtt_session_store_damaged_records_total",
                               "Stored records that could not be read and were left out.")),
      sessions(registry.gauge("sluice_mqtt_session_store_sessions",
                              "Sessions in memory; with Redis those that this front owns.")),
      bytes(registry.gauge("sluice_mqtt_session_store_bytes",
                           "What stored sessions take in memory; memory alone.")),
      overdue(registry.gauge("sluice_mqtt_session_store_overdue_sessions",
                             "Sessions past their expiry that are not ended yet; memory alone.")),
      lease_valid(registry.gauge("sluice_mqtt_session_store_lease_valid",
                                 "1 while this front may act as an owner of sessions.")),
      retained_waiting(registry.gauge("sluice_mqtt_session_store_retained_waiting",
                                      "Retained messages that wait for Redis to be back.")),
      registry_(&registry) {}

Counter SessionStoreMetrics::refused_by(std::string_view bound) {
  return registry_->counter("sluice_mqtt_session_store_refused_total",
                            "Writes refused because a bound is reached, by setting.",
                            {{"bound", std::string(bound)}});
}

}  // namespace sluice::front
