#pragma once

#include "adapters/raw_workers.h"
#include "core/pipeline.h"

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

namespace sluice::validator {

/// Every setting of the validator, declared once. What all services have in common is the
/// libraries'.
struct Config {
  postgres::Config postgres;
  kafka::Config kafka;
  kafka::ProducerConfig producer;
  kafka::ConsumerConfig consumer;
  crypto::TlsIdentity identity;
  rpc::ClientConfig device_registry;
  http::Config http;
  auth::Config auth;

  std::int64_t workers = 0;
  Bytes fair_quantum{};
  Bytes max_payload{};
  std::int64_t max_depth = 0;
  std::int64_t max_values = 0;
  Bytes max_text{};
  std::int64_t max_ratio = 0;
  std::int64_t max_metrics = 0;

  std::chrono::milliseconds event_max_age{0};
  std::chrono::milliseconds event_max_ahead{0};
  std::chrono::milliseconds allowed_lateness{0};
  bool corrects_clock_offset = false;

  std::int64_t state_devices = 0;
  std::int64_t state_metrics = 0;
  std::int64_t state_window = 0;
  std::int64_t state_filter = 0;
  std::chrono::milliseconds state_interval{0};
  std::chrono::milliseconds state_restore_timeout{0};

  std::chrono::milliseconds outbox_interval{0};
  std::chrono::milliseconds outbox_delivery_timeout{0};
  std::int64_t rejections_days = 0;
  std::int64_t dry_run_messages = 0;
  std::chrono::milliseconds dry_run_timeout{0};
  std::int64_t redrive_per_second = 0;
  std::int64_t redrive_max = 0;

  void declare(Settings& settings);

  // What the parts are told of it.
  PipelineSettings pipeline() const;
  RawWorkers::Options raw_workers(const std::string& service) const;
  CompileLimits compile_limits() const;
};

}  // namespace sluice::validator
