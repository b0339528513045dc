#pragma once

#include <memory>
#include <string>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/kafka/table_reader.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/telemetry/v1/raw_message.pb.h>

namespace sluice::front::testing {

/// Everything that telemetry.raw holds, in order within each device. One owner thread.
class TelemetryLog final : private kafka::TableHandler {
 public:
  struct Entry {
    std::string key;
    telemetry::v1::RawMessage message;
  };

  explicit TelemetryLog(const std::string& kafka_namespace);
  ~TelemetryLog() override;

  /// All records of one device, those included that were there when this was asked.
  std::vector<Entry> of(const std::string& device);
  /// Their payloads.
  std::vector<std::string> payloads_of(const std::string& device);

 private:
  void on_change(const kafka::RecordView& record) override;
  void read_on();

  const std::string namespace_;
  SystemClock clock_;
  Registry registry_;
  Logger log_;
  std::vector<Entry> entries_;
};

}  // namespace sluice::front::testing
