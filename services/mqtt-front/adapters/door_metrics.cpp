#include "adapters/door_metrics.h"

#include <string>

#include <sluice/mqtt/v1/mqtt_front.pb.h>

namespace sluice::front {
namespace {

using namespace ::sluice::mqtt::v1;  // NOLINT: the messages of this one interface

Counter published(Registry& registry, const std::string& outcome) {
  return registry.counter("sluice_mqtt_door_published_total",
                          "Sessions that messages of services were for, by what became of them.",
                          {{"outcome", outcome}});
}

std::string name_of(DeliveryOutcome outcome) {
  switch (outcome) {
    case DELIVERY_OUTCOME_TAKEN:
      return "taken";
    case DELIVERY_OUTCOME_FULL:
      return "full";
    case DELIVERY_OUTCOME_NOT_HERE:
      return "not_here";
    case DELIVERY_OUTCOME_NOBODY:
      return "nobody";
    case DELIVERY_OUTCOME_FAILED:
      return "failed";
    default:
      return "unspecified";
  }
}

}  // namespace

DoorMetrics::DoorMetrics(Registry& registry)
    : delivered(published(registry, "delivered")),
      queued(published(registry, "queued")),
      dropped(published(registry, "dropped")),
      unanswered(registry.counter("sluice_mqtt_door_unanswered_total",
                                  "Calls of services and fronts that a loop did not answer before "
                                  "their deadline.")) {
  for (int outcome = 0; outcome < DeliveryOutcome_ARRAYSIZE; ++outcome) {
    deliveries.push_back(
        registry.counter("sluice_mqtt_door_deliveries_total",
                         "Messages that other fronts handed over, by what became of them.",
                         {{"outcome", name_of(static_cast<DeliveryOutcome>(outcome))}}));
  }
}

}  // namespace sluice::front
