#include "telemetry_log.h"

#include <chrono>
#include <stdexcept>

#include <sluice/kafka/topics.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>

#include <unistd.h>

namespace sluice::front::testing {

using namespace std::chrono_literals;

TelemetryLog::TelemetryLog(const std::string& kafka_namespace)
    : namespace_(kafka_namespace),
      log_("telemetry-log", LogLevel::kError, clock_, make_fd_log_sink(STDERR_FILENO)) {}

TelemetryLog::~TelemetryLog() = default;

void TelemetryLog::on_change(const kafka::RecordView& record) {
  Entry& entry = entries_.emplace_back(Entry{.key = std::string(record.key), .message = {}});
  if (!record.value || !entry.message.ParseFromString(std::string(*record.value))) {
    throw std::runtime_error("a record of telemetry.raw cannot be read");
  }
}

void TelemetryLog::read_on() {
  // A table reader knows when it has seen everything that was there when it began.
  entries_.clear();
  kafka::Config config;
  config.brokers = sluice::testing::require_env("SLUICE_TEST_KAFKA_BROKERS");
  config.name_space = namespace_;
  auto consumer =
      kafka::open_table_consumer(config, {}, kafka::topics::kTelemetryRaw.name, clock_, log_);
  if (!consumer) throw std::runtime_error(consumer.error().message());
  kafka::TableReader reader({.topic = std::string(kafka::topics::kTelemetryRaw.name),
                             .refresh_interval = 20ms,
                             .limits = {}},
                            clock_, log_, registry_, *std::move(consumer), *this);
  if (!sluice::testing::eventually([&] {
        static_cast<void>(reader.step(10ms));
        return reader.caught_up();
      })) {
    throw std::runtime_error("telemetry.raw cannot be read to its end");
  }
}

std::vector<TelemetryLog::Entry> TelemetryLog::of(const std::string& device) {
  read_on();
  std::vector<Entry> found;
  for (const Entry& entry : entries_) {
    if (entry.message.device() == device) found.push_back(entry);
  }
  return found;
}

std::vector<std::string> TelemetryLog::payloads_of(const std::string& device) {
  std::vector<std::string> payloads;
  for (const Entry& entry : of(device)) payloads.push_back(entry.message.payload());
  return payloads;
}

}  // namespace sluice::front::testing
