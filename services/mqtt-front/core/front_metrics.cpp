#include "core/front_metrics.h"

namespace sluice::front {
namespace {

Counter received(Registry& registry, const char* qos) {
  return registry.counter("sluice_mqtt_received_total", "PUBLISH packets from clients.",
                          {{"qos", qos}});
}

}  // namespace

FrontMetrics::FrontMetrics(Registry& r)
    : registry(r),
      connections(r.gauge("sluice_mqtt_connections", "Clients connected and accepted.")),
      accepted(r.counter("sluice_mqtt_accepted_total", "Connections answered with success.")),
      received_qos0(received(r, "0")),
      received_qos1(received(r, "1")),
      received_qos2(received(r, "2")),
      received_bytes(
          r.counter("sluice_mqtt_received_bytes_total", "Payload bytes of PUBLISH packets.")),
      ingested(r.counter("sluice_mqtt_ingested_total",
                         "Messages of devices that Kafka has acknowledged.")),
      not_stored(r.counter("sluice_mqtt_not_stored_total",
                           "Messages of devices that Kafka refused or did not take in time.")),
      stalled(r.counter("sluice_mqtt_stalled_total",
                        "Messages that waited because Kafka had no room for them.")),
      sent(r.counter("sluice_mqtt_sent_total", "PUBLISH packets to clients.")),
      given_on(r.counter("sluice_mqtt_shared_given_on_total",
                         "Messages of shared subscriptions that another member got when the "
                         "session they waited for ended.")),
      unstored_deliveries(r.counter("sluice_mqtt_unstored_deliveries_total",
                                    "Messages that were sent to a client although the session "
                                    "store did not take them.")),
      subscribes(r.counter("sluice_mqtt_subscriptions_added_total", "Subscriptions granted.")),
      takeovers(r.counter("sluice_mqtt_takeovers_total",
                          "Connections ended because their client connected again, here or to "
                          "another front.")),
      waiting_records(r.gauge("sluice_mqtt_waiting_records",
                              "Messages that wait for room in the Kafka producer.")),
      unsaved_packet_ids(r.gauge("sluice_mqtt_unsaved_packet_ids",
                                 "QoS 2 messages half done of which this front alone knows, since "
                                 "the session store could not be told.")) {}

void FrontMetrics::count_refused(std::string_view reason) {
  registry
      .counter("sluice_mqtt_refused_total", "Connections refused, by reason.",
               {{"reason", std::string(reason)}})
      .add();
}

void FrontMetrics::count_ended(std::string_view reason) {
  registry
      .counter("sluice_mqtt_ended_total", "Accepted connections that ended, by reason.",
               {{"reason", std::string(reason)}})
      .add();
}

void FrontMetrics::count_dropped(std::string_view reason) {
  registry
      .counter("sluice_mqtt_dropped_total", "Messages not passed on, by reason.",
               {{"reason", std::string(reason)}})
      .add();
}

void FrontMetrics::count_slowed(std::string_view limit) {
  registry
      .counter("sluice_mqtt_slowed_total",
               "Messages after which a client was not read for a while, by limit.",
               {{"limit", std::string(limit)}})
      .add();
}

}  // namespace sluice::front
