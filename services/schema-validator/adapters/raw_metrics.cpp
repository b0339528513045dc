#include "adapters/raw_handler.h"

namespace sluice::validator {
namespace {

Counter outcome(Registry& registry, Outcome outcome) {
  return registry.counter("sluice_validator_messages_total",
                          "Messages of telemetry.raw, by what became of them.",
                          {{"outcome", std::string(name_of(outcome))}});
}

}  // namespace

RawMetrics::RawMetrics(Registry& registry)
    : outcomes{outcome(registry, Outcome::kValid), outcome(registry, Outcome::kRejected),
               outcome(registry, Outcome::kReplay), outcome(registry, Outcome::kReprocessed)},
      unstored(registry.counter("sluice_validator_outputs_unstored_total",
                                "Outputs and states that Kafka did not store; a lost output makes "
                                "its worker start anew at what is committed.")),
      poisoned(registry.counter("sluice_validator_poisoned_total",
                                "Messages set aside because judging them failed again and again.")),
      states_written(registry.counter("sluice_validator_states_written_total",
                                      "States of devices sent to validator.state.")),
      states_restored(registry.counter("sluice_validator_states_restored_total",
                                       "States of devices read back with their partition.")),
      states_unreadable(registry.counter("sluice_validator_states_unreadable_total",
                                         "States that could not be read; their devices begin "
                                         "anew.")),
      states_forgotten(
          registry.counter("sluice_validator_states_forgotten_total",
                           "States of devices deleted from validator.state: silent for "
                           "long, or others took their place.")),
      waits(registry.counter("sluice_validator_waits_total",
                             "Times a worker waited because too many outputs were "
                             "unacknowledged.")),
      devices(registry.gauge("sluice_validator_devices", "Devices whose state is in memory.")),
      state_bytes(registry.gauge("sluice_validator_state_bytes", "Memory of these states.")),
      filter_fill(registry.gauge("sluice_validator_filter_fill_ratio",
                                 "Fill of the fullest filter of seen messages; at 1 it turns over "
                                 "before its day is over.")),
      delay(registry.histogram("sluice_validator_delay_seconds",
                               "From a message's record in telemetry.raw to its judgement.",
                               latency_buckets_seconds())) {}

}  // namespace sluice::validator
