#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/record.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::kafka {

/// What became of one record.
struct Completion {
  /// What the caller passed to try_append: a packet id, an index, a pointer. Never interpreted
  /// here.
  std::uint64_t token = 0;
  /// nullopt: all in-sync replicas have it. Otherwise why not.
  std::optional<ErrorCode> failure{};
  /// Only with a failure: whether Kafka may have the record nevertheless (sent, but never
  /// answered).
  bool may_be_stored = false;
  Partition partition{-1};
  Offset offset{-1};
};

/// Appends records to Kafka and says when each is safe.
///
/// Thread rule: one owner thread. Nothing here blocks but flush() and wait(); wait() alone may be
/// called from a second thread.
///
/// Guarantees:
/// - A completion without failure means: acknowledged by all in-sync replicas (acks=all). Every
/// record
///   that try_append took gets exactly one completion, unless the producer is destroyed before.
/// - Records of one key are stored in the order they were appended. A record that *failed* is no
/// longer
///   in that order: whoever appends it again puts it behind what was appended since.
/// - Nothing is stored twice while the producer lives, with one exception: when Kafka can no longer
///   tell which records of a batch it has (a fatal idempotence error), the producer is rebuilt and
///   all unacknowledged records are sent again, in order, their completions still pending. A record
///   may then be stored twice, in runs of the same order. Readers are idempotent anyway (invariant
///   I3).
/// - Bounded: past the configured records or bytes in flight try_append refuses. It never waits.
class Producer {
 public:
  virtual ~Producer() = default;

  /// Takes the record, or refuses and leaves no trace of it:
  ///   kResourceExhausted  too much in flight: stop reading whatever makes records, try after a
  ///   poll() kUnavailable        being rebuilt: try after a poll() kInvalidArgument    larger than
  ///   allowed, or no such partition: will never be taken
  virtual Result<> try_append(const Record& record, std::uint64_t token) = 0;

  /// Appends to `out` what has completed since the last call, without waiting; returns how many.
  /// Must be called regularly: this is also what rebuilds and what frees room.
  virtual std::size_t poll(std::vector<Completion>& out) = 0;

  /// Readable (an eventfd) when poll() has something to do, once per batch of completions and not
  /// per record; poll() resets it. For epoll. -1 when there is none, as in FakeKafka.
  virtual int wake_fd() const = 0;

  /// Waits until poll() may have something to do or the time is up.
  virtual void wait(std::chrono::milliseconds timeout) = 0;

  /// Waits until nothing is in flight; kDeadlineExceeded when something still is. The completions
  /// are kept for the next poll().
  virtual Result<> flush(std::chrono::milliseconds timeout) = 0;

  /// Records taken and not yet completed.
  virtual std::size_t in_flight() const = 0;

  /// How many partitions the topic has, for partition_for_key(). Asks Kafka; do it once, not per
  /// record.
  virtual Result<std::int32_t> partition_count(std::string_view topic,
                                               std::chrono::milliseconds timeout) = 0;
};

/// The producer over librdkafka: idempotent, acks=all. Logs and counts as
/// `sluice_kafka_producer_*`. Opening connects to nothing, so Kafka may be down; what is refused is
/// a faulty configuration. `logger` and `registry` must outlive it.
Result<std::unique_ptr<Producer>> open_producer(const Config& config,
                                                const ProducerConfig& producer, const Clock& clock,
                                                Random& random, const Logger& logger,
                                                Registry& registry);

}  // namespace sluice::kafka
