#pragma once

#include "adapters/databases.h"
#include "adapters/import_queue.h"
#include "adapters/kafka_side.h"
#include "core/bootstrap.h"
#include "core/door.h"
#include "core/importer.h"

#include <chrono>
#include <cstdint>
#include <string>

#include <sluice/auth/config.h>
#include <sluice/config/settings.h>
#include <sluice/crypto/tls_identity.h>
#include <sluice/grpc/config.h>
#include <sluice/http/config.h>
#include <sluice/kafka/config.h>
#include <sluice/postgres/config.h>
#include <sluice/status/config.h>

namespace sluice::registry {

/// Every setting of the registry, declared once. What all services have in common is the
/// libraries'.
struct Config {
  postgres::Config postgres;
  kafka::Config kafka;
  kafka::ProducerConfig producer;
  kafka::ConsumerConfig consumer;
  crypto::TlsIdentity identity;
  rpc::ServerConfig grpc;
  http::Config http;
  auth::Config auth;
  status::Config status;

  Secret vault_key_ring;
  Secret bootstrap_admin_key;
  std::string device_jwt_audience;
  std::chrono::milliseconds device_cache_ttl{0};

  std::int64_t door_pool_size = 0;
  std::chrono::milliseconds door_timeout{0};
  std::int64_t search_pool_size = 0;
  std::chrono::milliseconds search_timeout{0};
  std::int64_t search_max_at_once = 0;

  std::string import_spool_dir;
  std::int64_t import_workers = 0;
  std::int64_t import_max_pending = 0;
  std::int64_t import_batch_lines = 0;
  std::int64_t import_max_lines = 0;
  std::chrono::milliseconds import_timeout{0};

  std::chrono::milliseconds outbox_interval{0};
  std::chrono::milliseconds outbox_delivery_timeout{0};
  std::chrono::milliseconds sweep_interval{0};

  void declare(Settings& settings) {
    using namespace std::chrono_literals;
    postgres.declare(settings);
    kafka.declare(settings);
    producer.declare(settings);
    consumer.declare(settings);
    identity.declare(settings);
    grpc.declare(settings);
    http.declare(settings);
    auth.declare(settings);
    status.declare(settings);

    settings.secret_file("vault_key_ring_file", &vault_key_ring, true,
                         "Keys that pre-shared keys and kept answers are sealed with, a line each "
                         "(id and 32 bytes of base64url), oldest first; the last one seals.");
    settings.secret_file("bootstrap_admin_key_file", &bootstrap_admin_key, false,
                         "An API key (slk_…) to make exist as admin of the tenant `platform`, for "
                         "the first sign-in. "
                         "Take it away once there are others.");
    settings.text("device_jwt_audience", &device_jwt_audience, "sluice",
                  {.required = true, .max_size = 256},
                  "What JSON Web Tokens that devices sign themselves must name as their audience.");
    settings.duration(
        "device_cache_ttl", &device_cache_ttl, 60s, {.min = 1s, .max = 1h},
        "How long a front may use an answer about a device without asking again: what a revocation "
        "may take at worst where control.devices cannot be read.");

    settings.integer("door_pool_size", &door_pool_size, 8, {.min = 1, .max = 1000},
                     "Connections beside postgres_pool_size for questions about who may come in: "
                     "devices and operators' keys.");
    settings.duration("door_timeout", &door_timeout, 2s, {.min = 10ms, .max = 1min},
                      "Longest time for such a question to the database.");
    settings.integer("search_pool_size", &search_pool_size, 4, {.min = 1, .max = 1000},
                     "Connections beside postgres_pool_size for lists and searches.");
    settings.duration("search_timeout", &search_timeout, 1s, {.min = 10ms, .max = 1min},
                      "Longest time for a list or search in the database; beyond it 504.");
    settings.integer("search_max_at_once", &search_max_at_once, 16, {.min = 1, .max = 1024},
                     "Lists and searches at work or waiting for a connection; one more is answered "
                     "429. Keep it well below http_threads.");

    settings.text(
        "import_spool_dir", &import_spool_dir, "/tmp", {.required = true},
        "Folder that uploads wait in until they are imported; needs import_max_pending times "
        "http_max_upload.");
    settings.integer("import_workers", &import_workers, 2, {.min = 1, .max = 16},
                     "Imports at work at once.");
    settings.integer("import_max_pending", &import_max_pending, 8, {.min = 1, .max = 256},
                     "Imports being uploaded, waiting or at work; one more is answered 429, and a "
                     "tenant's beyond half of them.");
    settings.integer(
        "import_batch_lines", &import_batch_lines, 2000, {.min = 1, .max = 100'000},
        "Devices written at a time: bounds memory, and sets how often progress is told.");
    settings.integer("import_max_lines", &import_max_lines, 250'000, {.min = 1, .max = 1'000'000},
                     "Most lines of one upload.");
    settings.duration("import_timeout", &import_timeout, 10min, {.min = 1s, .max = 6h},
                      "Longest time that one import may take.");

    settings.duration(
        "outbox_interval", &outbox_interval, 100ms, {.min = 10ms, .max = 10s},
        "How often committed changes are looked for to be published: the longest part of what a "
        "revocation takes to reach a front.");
    settings.duration(
        "outbox_delivery_timeout", &outbox_delivery_timeout, 5s, {.min = 1s, .max = 1min},
        "How long Kafka may take for a change. A new publisher that finds changes waiting lets as "
        "long pass, and a second, before it sends: its predecessor's may be under way.");
    settings.duration(
        "sweep_interval", &sweep_interval, 60s, {.min = 1s, .max = 1h},
        "How often what is kept for a time only is deleted, and dead imports are declared so.");
  }
};

// What the parts are told of it.

inline Databases::Options database_options(const Config& config, const std::string& service) {
  return {.postgres = config.postgres,
          .application_name = service,
          .door_connections = config.door_pool_size,
          .door_timeout = config.door_timeout,
          .search_connections = config.search_pool_size,
          .search_timeout = config.search_timeout,
          .max_searches = config.search_max_at_once};
}

inline KafkaSide::Options kafka_options(const Config& config, const std::string& service) {
  kafka::Config kafka = config.kafka;
  kafka.client_id = service;
  return {.changes = {.service = service,
                      .topics = {kafka::topics::kControlDevices},
                      .kafka = kafka,
                      .producer = config.producer,
                      .interval = config.outbox_interval,
                      .delivery_timeout = config.outbox_delivery_timeout},
          .presence = {.kafka = kafka, .consumer = config.consumer}};
}

inline ImportConfig import_config(const Config& config) {
  return {.batch_lines = static_cast<std::size_t>(config.import_batch_lines),
          .max_lines = static_cast<std::size_t>(config.import_max_lines),
          .timeout = config.import_timeout};
}

inline ImportQueue::Options queue_options(const Config& config) {
  return {.spool_dir = config.import_spool_dir,
          .workers = static_cast<std::size_t>(config.import_workers),
          .max_pending = static_cast<std::size_t>(config.import_max_pending)};
}

inline DoorConfig door_config(const Config& config) {
  return {.timeout = std::min(config.door_timeout, config.postgres.statement_timeout),
          .cache_ttl = std::chrono::duration_cast<std::chrono::seconds>(config.device_cache_ttl),
          .max_answers_bytes = static_cast<std::size_t>(config.grpc.max_message.count) / 2};
}

/// The first operator of a new installation, where one is configured.
inline Result<> ensure_first_key(const Config& config, Store& store, Vault& vault) {
  if (config.bootstrap_admin_key.empty()) return {};
  return ensure_operator_key(store, vault,
                             {.tenant = TenantId(std::string(kPlatformTenant)),
                              .key_name = "bootstrap",
                              .role = Role::kAdmin,
                              .api_key = config.bootstrap_admin_key.reveal()})
      .transform_error(
          [](Error error) { return std::move(error).context("bootstrap_admin_key_file"); });
}

}  // namespace sluice::registry
