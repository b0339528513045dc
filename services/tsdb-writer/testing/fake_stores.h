#pragma once

#include "ports.h"
#include "testing/telemetry_source.h"

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::tsdb::testing {

/// Keys in memory, with a limit of metrics per class. One thread.
class FakeDictionary final : public DictionaryStore {
 public:
  Result<Keys> resolve(std::span<const DeviceIdentity> devices,
                       std::span<const MetricIdentity> metrics) override;

  std::string name_of(MetricKey metric) const { return metric_names_.at(metric.value()); }
  std::pair<std::string, std::string> device_of(DeviceKey device) const {
    return device_names_.at(device.value());
  }

  std::size_t max_metrics_per_class = 1000;
  std::optional<Error> failure;  // of each call, while it is set
  int calls = 0;
  std::map<std::string, std::string> fleets;  // by device
  std::map<std::string, std::string> units;   // by metric

 private:
  std::map<std::pair<std::string, std::string>, std::int64_t> devices_;
  std::map<std::int64_t, std::pair<std::string, std::string>> device_names_;
  std::map<std::tuple<std::string, std::string, std::string, int>, std::int32_t> metrics_;
  std::map<std::pair<std::string, std::string>, std::size_t> per_class_;
  std::map<std::int32_t, std::string> metric_names_;
};

/// Rows and offsets in memory, by the rules of the port. Thread-safe.
class FakeHotStore final : public HotStore {
 public:
  Result<std::vector<std::optional<Offset>>> positions(
      std::span<const TopicPartition> partitions) override;
  Result<FlushReport> flush(std::span<const PartitionSpan> spans, HotRowSource& rows) override;

  /// From now on flushes fail, with `and_commit` after they took effect; until told otherwise.
  void fail_with(std::optional<Error> failure, bool and_commit = false);
  /// How many flushes were tried.
  std::size_t attempts() const;
  std::optional<Offset> position(const TopicPartition& partition) const;
  void set_position(const TopicPartition& partition, Offset offset);
  Content content(const FakeDictionary& names) const;

 private:
  struct Row {
    DeviceKey device;
    std::vector<std::byte> chunk;
  };

  mutable std::mutex mutex_;
  std::map<TopicPartition, std::int64_t> positions_;
  std::vector<Row> rows_;
  std::optional<Error> failure_;
  bool commits_before_failing_ = false;
  std::size_t attempts_ = 0;
};

}  // namespace sluice::tsdb::testing
