#include "config.h"

#include <algorithm>

namespace sluice::validator {

void Config::declare(Settings& s) {
  using namespace std::chrono_literals;
  postgres.declare(s);
  kafka.declare(s);
  // No device waits for what is sent here, and most of a message's cost is its share of a request.
  producer.linger = 25ms;
  producer.declare(s);
  consumer.declare(s);
  identity.declare(s);
  device_registry.declare(s, "device-registry");
  http.declare(s);
  auth.declare(s);

  s.integer("workers", &workers, 2, {.min = 1, .max = 64},
            "Threads that judge telemetry.raw; of all pods together no more than it has "
            "partitions are of use.");
  s.bytes("fair_quantum", &fair_quantum, 16_KiB, {.min = 1_KiB, .max = 16_MiB},
          "Bytes of one tenant's messages that are judged before the next tenant of a batch has "
          "its turn.");
  s.bytes("max_payload", &max_payload, 1_MiB, {.min = 1_KiB, .max = 16_MiB},
          "Largest payload, after decompression.");
  s.integer("max_payload_depth", &max_depth, 32, {.min = 2, .max = 64},
            "Deepest nesting of a payload.");
  s.integer("max_payload_values", &max_values, 100'000, {.min = 16, .max = 1'000'000},
            "Most values, objects and lists of a payload.");
  s.bytes("max_payload_text", &max_text, 64_KiB, {.min = 256, .max = 1_MiB},
          "Longest text, key or byte string of a payload.");
  s.integer("max_decompression_ratio", &max_ratio, 200, {.min = 2, .max = 10'000},
            "Most times that a compressed payload above 64 KiB may grow.");
  s.integer("max_metrics", &max_metrics, 1'000, {.min = 1, .max = 10'000},
            "Most metrics of a schema, or of a payload without one.");

  s.duration("event_max_age", &event_max_age, 7 * 24h, {.min = 1min, .max = 3650 * 24h},
             "A device's time older than this is not believed.");
  s.duration("event_max_ahead", &event_max_ahead, 5min, {.min = 0s, .max = 24h},
             "A device's time further ahead than this is not believed.");
  s.duration("allowed_lateness", &allowed_lateness, 1h, {.min = 1s, .max = 30 * 24h},
             "A sample older than this when it comes is flagged late.");
  s.boolean("correct_clock_offset", &corrects_clock_offset, false,
            "Take the estimated offset off the times of devices whose clock is wrong by more than "
            "a minute.");

  s.integer("state_devices", &state_devices, 100'000, {.min = 100, .max = 10'000'000},
            "Devices of one partition that are remembered; the longest silent one gives way.");
  s.integer("state_metrics", &state_metrics, 64, {.min = 1, .max = 1'024},
            "Metrics of a device that are judged for outliers; further ones pass unjudged.");
  s.integer("state_window", &state_window, 512, {.min = 64, .max = 4'096},
            "Sequence numbers of a device that replays are told by; a power of two.");
  s.integer("state_filter", &state_filter, 1'000'000, {.min = 1'024, .max = 100'000'000},
            "Messages of a partition and day that are told from new ones without their device's "
            "window; 3 bytes each.");
  s.duration("state_interval", &state_interval, 5s, {.min = 50ms, .max = 10min},
             "How often changed states are written to validator.state.");
  s.duration(
      "state_restore_timeout", &state_restore_timeout, 2min, {.min = 1s, .max = 4min},
      "Longest time for reading the states of partitions that come; then it is tried again.");
  s.rule([this] {
    std::vector<FieldFault> faults;
    if ((state_window & (state_window - 1)) != 0) {
      faults.push_back({"state_window", "must be a power of two"});
    }
    return faults;
  });

  s.duration("outbox_interval", &outbox_interval, 100ms, {.min = 10ms, .max = 10s},
             "How often committed changes are looked for to be published.");
  s.duration("outbox_delivery_timeout", &outbox_delivery_timeout, 5s, {.min = 1s, .max = 1min},
             "How long Kafka may take for a change.");
  s.integer("rejections_days", &rejections_days, 30, {.min = 1, .max = 365},
            "Days that rejected messages can be looked for; telemetry.rejected keeps their bytes "
            "as long as its own retention says.");
  s.integer("dry_run_messages", &dry_run_messages, 10'000, {.min = 1, .max = 1'000'000},
            "Most recent messages that a schema is tried on.");
  s.duration("dry_run_timeout", &dry_run_timeout, 10s, {.min = 100ms, .max = 25s},
             "Longest time for trying a schema.");
  s.integer(
      "redrive_per_second", &redrive_per_second, 1'000, {.min = 1, .max = 100'000},
      "Messages that are sent again in a second, so that a re-drive starves no live message.");
  s.integer("redrive_max", &redrive_max, 1'000'000, {.min = 1, .max = 100'000'000},
            "Most messages of one re-drive.");
}

PipelineSettings Config::pipeline() const {
  PipelineSettings settings;
  settings.limits = {.max_bytes = max_payload.count,
                     .max_depth = static_cast<std::size_t>(max_depth),
                     .max_values = static_cast<std::size_t>(max_values),
                     .max_text = max_text.count};
  settings.max_ratio = static_cast<std::size_t>(max_ratio);
  settings.max_metrics = static_cast<std::size_t>(max_metrics);
  settings.max_record = producer.max_record.count;
  return settings;
}

CompileLimits Config::compile_limits() const {
  CompileLimits limits;
  limits.max_metrics = static_cast<std::size_t>(max_metrics);
  return limits;
}

RawWorkers::Options Config::raw_workers(const std::string& service) const {
  RawWorkers::Options options{.workers = static_cast<std::size_t>(workers),
                              .group = service,
                              .kafka = kafka,
                              .consumer = consumer,
                              .producer = producer,
                              .handler = {}};
  options.kafka.client_id = service;
  RawHandler::Options& handler = options.handler;
  handler.stream.time = {.max_age_ms = event_max_age.count(),
                         .max_ahead_ms = event_max_ahead.count(),
                         .allowed_lateness_ms = allowed_lateness.count(),
                         .corrects_offset = corrects_clock_offset};
  handler.stream.max_devices = static_cast<std::size_t>(state_devices);
  handler.stream.max_metrics = static_cast<std::size_t>(state_metrics);
  handler.stream.window_size = static_cast<std::size_t>(state_window);
  handler.filter_capacity = static_cast<std::size_t>(state_filter);
  handler.fair_quantum = fair_quantum.count;
  // Room for the outputs of one more record, however many samples it has.
  handler.max_in_flight = static_cast<std::size_t>(producer.max_in_flight_records) / 2 + 1;
  handler.state_interval = state_interval;
  handler.restore_timeout = state_restore_timeout;
  handler.flush_timeout = std::min<std::chrono::milliseconds>(producer.delivery_timeout,
                                                              consumer.max_poll_interval / 4);
  return options;
}

}  // namespace sluice::validator
