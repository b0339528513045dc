#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/consumer.h>
#include <sluice/kafka/record.h>

namespace sluice::kafka {

/// Part of a partition. What Kafka no longer has, or not yet, is left out without a word: whoever
/// asks for one record looks at whether it came.
struct Stretch {
  TopicPartition partition{};
  std::optional<Offset> from{};  // nullopt: the oldest that Kafka has
  std::optional<Offset> to{};    // the first not read; nullopt: what is the end when read() begins
  /// At most so many, the latest ones.
  std::optional<std::int64_t> last{};
};

/// Reads parts of partitions once, outside of any group: what a partition's owner must know before
/// it begins, or one record that somebody wants to see again. Blocks; one owner thread.
class PartitionReader {
 public:
  /// Takes a record, whose views die with the call; false ends the reading.
  using Take = std::function<bool(const RecordView&)>;

  virtual ~PartitionReader() = default;

  /// Gives every record of the stretches, which are of different partitions, in order within each.
  /// kDeadlineExceeded when it takes longer than `timeout`; what was given until then was given.
  virtual Result<> read(std::span<const Stretch> stretches, std::chrono::milliseconds timeout,
                        const Take& take) = 0;
};

/// Connects when it is first used. `logger` and `clock` must outlive it.
Result<std::unique_ptr<PartitionReader>> open_partition_reader(const Config& config,
                                                               const ConsumerConfig& consumer,
                                                               const Clock& clock,
                                                               const Logger& logger);

}  // namespace sluice::kafka
