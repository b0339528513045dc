#pragma once

#include <string_view>

#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// What the core counts. Each is documented in the service's README.
struct FrontMetrics {
  explicit FrontMetrics(Registry& registry);

  /// A series per cause: only for what is refused or ends, never on the path of a message.
  void count_refused(std::string_view reason);
  void count_ended(std::string_view reason);
  void count_dropped(std::string_view reason);
  void count_slowed(std::string_view limit);

  Registry& registry;
  Gauge connections;
  Counter accepted;
  Counter received_qos0, received_qos1, received_qos2;
  Counter received_bytes;
  Counter ingested;    // records that Kafka has acknowledged
  Counter not_stored;  // messages of devices that Kafka has not taken
  Counter stalled;     // publishes that had to wait for room
  Counter sent;
  Counter given_on;             // messages of shared subscriptions, to another member
  Counter unstored_deliveries;  // sent to their client, and not taken by the session store
  Counter subscribes;
  Counter takeovers;
  Gauge waiting_records;
  Gauge unsaved_packet_ids;  // of QoS 2, that the session store does not know of
};

}  // namespace sluice::front
