#include "core/pipeline_metrics.h"

#include <array>
#include <string>
#include <utility>

namespace sluice::validator {
namespace {

Counter reason(Registry& registry, std::size_t index) {
  return registry.counter("sluice_validator_rejected_total",
                          "Messages set aside in telemetry.rejected, by reason.",
                          {{"reason", std::string(name_of(static_cast<RejectReason>(index)))}});
}
Counter format(Registry& registry, std::size_t index) {
  return registry.counter("sluice_validator_payloads_total",
                          "Payloads read, by what they are written in.",
                          {{"format", std::string(name_of(static_cast<Format>(index)))}});
}
Counter outlier(Registry& registry, std::size_t index) {
  return registry.counter("sluice_validator_outliers_total",
                          "Values far from what their device usually says, by check.",
                          {{"kind", std::string(name_of(static_cast<OutlierKind>(index)))}});
}

template <std::size_t... kIndex>
std::array<Counter, sizeof...(kIndex)> all(Registry& registry,
                                           Counter (*make)(Registry&, std::size_t),
                                           std::index_sequence<kIndex...>) {
  return {make(registry, kIndex)...};
}

}  // namespace

PipelineMetrics::PipelineMetrics(Registry& registry)
    : rejected(all(registry, reason, std::make_index_sequence<kRejectReasons>{})),
      formats(all(registry, format, std::make_index_sequence<kFormats>{})),
      outliers(all(registry, outlier, std::make_index_sequence<kOutlierKinds>{})),
      samples(
          registry.counter("sluice_validator_samples_total", "Samples sent to telemetry.valid.")),
      readings(registry.counter("sluice_validator_readings_total", "Readings of these.")),
      replays(registry.counter("sluice_validator_replayed_samples_total",
                               "Samples dropped because they were proven to be copies.")),
      maybe_duplicates(registry.counter("sluice_validator_maybe_duplicates_total",
                                        "Samples that may be copies and were kept, flagged.")),
      skewed(registry.counter("sluice_validator_clock_skewed_total",
                              "Samples whose device time was not believed.")),
      late(registry.counter("sluice_validator_late_total",
                            "Samples that came later than the allowed lateness.")),
      unjudged_readings(registry.counter("sluice_validator_unjudged_readings_total",
                                         "Readings past state_metrics, not looked at for "
                                         "outliers.")),
      schemaless(registry.counter("sluice_validator_schemaless_total",
                                  "Messages of devices that no schema was named for.")),
      redriven(registry.counter("sluice_validator_redriven_messages_total",
                                "Messages that came by a re-drive.")) {}

}  // namespace sluice::validator
