#pragma once

#include "adapters/maintenance_config.h"
#include "adapters/postgres_dictionary.h"
#include "adapters/query_config.h"
#include "adapters/rest_server.h"
#include "adapters/telemetry_consumer.h"
#include "adapters/write_pipeline.h"
#include "core/storage_layout.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <sluice/auth/config.h>
#include <sluice/config/settings.h>
#include <sluice/crypto/tls_identity.h>
#include <sluice/grpc/config.h>
#include <sluice/http/config.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/topics.h>
#include <sluice/postgres/config.h>

namespace sluice::tsdb {

/// Every setting of the writer, declared once. What all services have in common is the libraries'.
struct Config {
  postgres::Config postgres;
  kafka::Config kafka;
  kafka::ConsumerConfig consumer;
  crypto::TlsIdentity identity;
  rpc::ClientConfig device_registry;
  http::Config http;
  auth::Config auth;
  QueryConfig query;
  MaintenanceConfig maintenance;

  std::vector<std::string> input_topics;
  std::int64_t batch_max_samples = 0;
  Bytes batch_max_bytes;
  std::chrono::milliseconds batch_max_age{0};
  std::int64_t max_metrics_per_class = 0;
  std::int64_t max_attribute_names = 0;
  std::int64_t max_attribute_values = 0;
  Bytes max_text;
  std::chrono::milliseconds max_sample_age{0};
  std::chrono::milliseconds max_sample_ahead{0};
  std::int64_t device_cache = 0;

  void declare(Settings& settings) {
    using namespace std::chrono_literals;
    postgres.declare(settings);
    kafka.declare(settings);
    consumer.declare(settings);
    identity.declare(settings);
    device_registry.declare(settings, "device-registry");
    http.declare(settings);
    auth.declare(settings);
    query.declare(settings);
    maintenance.declare(settings);

    settings.text_list(
        "input_topics", &input_topics, {"telemetry.valid"},
        {.required = true, .one_of = {"telemetry.valid", "telemetry.timeseries", "telemetry.late"}},
        "Topics that are stored. telemetry.valid has everything; where the rules-engine routes, "
        "take "
        "telemetry.timeseries and, for what came too late for its windows, telemetry.late.");

    settings.integer("batch_max_samples", &batch_max_samples, 500'000, {.min = 1, .max = 900'000},
                     "A batch with this many samples is written; three of them may be in memory.");
    settings.bytes("batch_max_bytes", &batch_max_bytes, 32_MiB, {.min = 64_KiB, .max = 48_MiB},
                   "The same in bytes of memory.");
    settings.duration("batch_max_age", &batch_max_age, 500ms, {.min = 10ms, .max = 1min},
                      "A batch is written when its first record has waited this long.");

    settings.integer(
        "max_metrics_per_class", &max_metrics_per_class, 500, {.min = 1, .max = 4'000},
        "Metrics that a device class of a tenant may have, each type of value counted; "
        "readings of others are refused.");
    settings.integer("max_attribute_names", &max_attribute_names, 64, {.min = 1, .max = 1'000},
                     "Attributes of devices that a tenant may have, which are labels and what is "
                     "grouped by; those of further names are left out.");
    settings.integer("max_attribute_values", &max_attribute_values, 10'000,
                     {.min = 1, .max = 1'000'000},
                     "Values that an attribute may have in a tenant; further ones are left out.");
    settings.bytes("max_text", &max_text, 4_KiB, {.min = Bytes{1}, .max = 64_KiB},
                   "Longest text or bytes value; longer readings are refused.");
    settings.duration(
        "max_sample_age", &max_sample_age, std::chrono::days(366),
        {.min = 1h, .max = std::chrono::days(3650)},
        "Messages whose event time is longer ago are refused. Each day within costs a "
        "partition once something is of it.");
    settings.duration("max_sample_ahead", &max_sample_ahead, 24h, {.min = 0ms, .max = 24h * 30},
                      "The same for event times in the future.");
    settings.integer("device_cache", &device_cache, 200'000, {.min = 100, .max = 10'000'000},
                     "Devices whose keys are remembered, about 500 bytes each. Should exceed the "
                     "devices of this instance's partitions.");
  }
};

// What the parts are told of it.

inline PostgresDictionary::Options dictionary_options(const Config& config) {
  return {.max_metrics_per_class = config.max_metrics_per_class};
}

inline WritePipeline::Options pipeline_options(const Config& config) {
  return {.policy = {.max_samples = static_cast<std::size_t>(config.batch_max_samples),
                     .max_bytes = config.batch_max_bytes.count,
                     .max_age = config.batch_max_age},
          .limits = {.max_text_bytes = config.max_text.count,
                     .max_age = config.max_sample_age,
                     .max_ahead = config.max_sample_ahead,
                     .max_devices = static_cast<std::size_t>(config.device_cache)},
          .on_failure = {},
          .on_fatal = {}};
}

inline TelemetryConsumer::Options consumer_options(const Config& config,
                                                   const std::string& service) {
  TelemetryConsumer::Options options{
      .kafka = config.kafka, .consumer = config.consumer, .group = service, .topics = {}};
  options.kafka.client_id = service;
  for (const kafka::TopicSpec& spec : kafka::topics::kAll) {
    if (std::ranges::contains(config.input_topics, spec.name)) options.topics.push_back(spec);
  }
  return options;
}

inline RestServer::Settings rest_settings(const Config& config) {
  return {.http = config.http,
          .auth = config.auth,
          .query = config.query,
          .device_registry = config.device_registry,
          .identity = config.identity,
          .kafka = config.kafka,
          .consumer = config.consumer,
          .attributes = {.names = static_cast<std::size_t>(config.max_attribute_names),
                         .values_of_name = static_cast<std::size_t>(config.max_attribute_values)}};
}

}  // namespace sluice::tsdb
