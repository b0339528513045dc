#pragma once

#include "adapters/rejection_store.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/kafka/partition_reader.h>
#include <sluice/kafka/record.h>
#include <sluice/kafka/sender.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/leadership.h>

namespace sluice::validator {

/// Sends selections of rejected messages to telemetry.raw once more: the original message with its
/// identity and times, marked with the re-drive's id so that nobody takes it for a replay of the
/// device, in the order of each device, to the partition that they came from.
///
/// One instance of the service does it at a time. Progress is written after each batch was
/// acknowledged; a crash between repeats that batch, whose messages have the same ids and parts, so
/// that what is stored of them is the same.
///
/// For a PeriodicTask: run() does a batch of the re-drive that waited longest, at most as many
/// messages as per_second allows since the last.
class Redriver {
 public:
  struct Options {
    std::int64_t per_second = 1'000;
    std::int64_t batch = 200;                        // messages
    std::size_t batch_bytes = std::size_t{8} << 20;  // the last one may exceed it
    std::chrono::milliseconds timeout{30'000};
  };

  /// Everything passed by reference must outlive it.
  Redriver(const Options& options, postgres::Pool& pool, RejectionStore& store,
           kafka::Sender& sender, std::unique_ptr<kafka::PartitionReader> reader,
           const Clock& clock, const Logger& log, Registry& registry);

  Result<> run(std::stop_token stop);

 private:
  Result<bool> send_batch(Redrive& redrive);

  const Options options_;
  RejectionStore& store_;
  kafka::Sender& sender_;
  std::unique_ptr<kafka::PartitionReader> reader_;
  const Clock& clock_;
  const Logger& log_;
  postgres::Leadership leadership_;
  Counter sent_;
  Counter missing_;
  MonoTime next_{};
};

/// Reads one record of telemetry.rejected; nullopt where Kafka has it no more.
Result<std::optional<std::string>> read_rejected(kafka::PartitionReader& reader,
                                                 std::int32_t partition, std::int64_t offset,
                                                 std::chrono::milliseconds timeout);

}  // namespace sluice::validator
