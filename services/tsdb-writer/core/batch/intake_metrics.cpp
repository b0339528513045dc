#include "core/batch/intake_metrics.h"

#include <string>

namespace sluice::tsdb {

std::string_view to_string(Refusal refusal) {
  switch (refusal) {
    case Refusal::kMalformed:
      return "malformed";
    case Refusal::kIdentity:
      return "identity";
    case Refusal::kEventTime:
      return "event_time";
    case Refusal::kMetricName:
      return "metric_name";
    case Refusal::kUnit:
      return "unit";
    case Refusal::kNoValue:
      return "no_value";
    case Refusal::kTextTooLong:
      return "text_too_long";
    case Refusal::kTooManyMetrics:
      return "too_many_metrics";
  }
  return "";
}

RefusalCounters::RefusalCounters(Registry& registry) {
  for (std::size_t i = 0; i < kRefusalCount; ++i) {
    const auto reason = static_cast<Refusal>(i);
    const bool is_message = reason <= Refusal::kEventTime;
    const Labels labels{{"reason", std::string(to_string(reason))}};
    counters_.push_back(
        is_message
            ? registry.counter(
                  "sluice_tsdb_writer_messages_refused_total",
                  "Messages that cannot be stored; they stay in Kafka and the archive.", labels)
            : registry.counter("sluice_tsdb_writer_readings_refused_total",
                               "Readings left out of messages that were stored otherwise.",
                               labels));
  }
}

void RefusalCounters::count(Refusal refusal, std::uint64_t times) {
  counters_[static_cast<std::size_t>(refusal)].add(times);
}

std::uint64_t RefusalCounters::value(Refusal refusal) const {
  return counters_[static_cast<std::size_t>(refusal)].value();
}

}  // namespace sluice::tsdb
