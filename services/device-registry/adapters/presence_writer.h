#pragma once

#include "ports.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/kafka/consumer_loop.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::registry {

/// Takes records of device.events: folds a batch into one change per device and merges these into
/// the store. A batch is done when the store has all of it; until then it comes again, which does
/// no harm (see core/presence.h). For a ConsumerLoop with Durability::kOnReturn. One thread.
///
///   what makes no sense            counted, the first of a batch logged, and passed
///   devices that are not there     counted and passed: they were deleted meanwhile
///   the store fails                the batch comes again, for as long as it takes
///   the store refuses the data     looked for one by one; the one at fault is counted and passed
///
/// Metric: sluice_registry_device_events_total by kind and outcome, an event's outcome being that
/// of its device's change.
class PresenceWriter final : public kafka::RecordHandler {
 public:
  /// What is passed by reference must outlive it.
  PresenceWriter(PresenceStore& store, const Logger& log, Registry& registry);

  Result<> on_batch(std::span<const kafka::RecordView> records,
                    kafka::ConsumerControl& control) override;
  Result<> on_poison(const kafka::RecordView& record, const Error& error, int attempts) override;

 private:
  enum class Outcome : std::uint8_t {
    kChanged,
    kUnchanged,
    kUnknownDevice,
    kIgnored,    // nothing that presence is about
    kMalformed,  // makes no sense
    kRefused,    // by the store
  };
  static constexpr std::size_t kOutcomes = 6;

  static Outcome outcome_of(PresenceOutcome outcome);
  Result<std::vector<PresenceOutcome>> write(std::span<const PresenceFold::Change* const> changes);
  Counter& counter(DeviceEventKind kind, Outcome outcome);

  PresenceStore& store_;
  const Logger& log_;
  std::vector<Counter> counters_;
};

}  // namespace sluice::registry
