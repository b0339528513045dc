#pragma once

#include "core/catalogue.h"
#include "core/fair_order.h"
#include "core/offset_tracker.h"
#include "core/record_judge.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/kafka/consumer_loop.h>
#include <sluice/kafka/partition_reader.h>
#include <sluice/kafka/producer.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::validator {

/// Counters of the data path, shared by all workers of a process.
struct RawMetrics {
  explicit RawMetrics(Registry& registry);
  Counter outcomes[kOutcomes];
  Counter unstored;
  Counter poisoned;
  Counter states_written;
  Counter states_restored;
  Counter states_unreadable;
  Counter states_forgotten;
  Counter waits;
  Gauge devices;
  Gauge state_bytes;
  Gauge filter_fill;
  Histogram delay;
};

/// Reads telemetry.raw for one worker: lets each record be judged, sends what comes of it to the
/// partition of the same number, and marks an offset as durable when Kafka has acknowledged all
/// outputs of every record below it (I2). Keeps the states of devices in validator.state.
///
/// Records that were handled are never handled again while their partition is ours, also when the
/// loop brings them again after an error. An output that Kafka does not store breaks the handler:
/// it takes nothing more, and its owner starts a new one, which begins at what is committed.
///
/// One owner thread, that of its ConsumerLoop.
class RawHandler final : public kafka::RecordHandler {
 public:
  struct Options {
    StreamSettings stream{};
    std::size_t filter_capacity = 1'000'000;  // of a partition: see PartitionState
    std::size_t fair_quantum = 64 * 1024;
    std::size_t max_in_flight = 50'000;  // outputs
    std::chrono::milliseconds room_timeout{1'000};
    std::chrono::milliseconds state_interval{5'000};
    std::size_t state_batch = 5'000;  // devices, serialised between two batches
    std::chrono::milliseconds restore_timeout{120'000};
    std::chrono::milliseconds flush_timeout{20'000};
    std::chrono::milliseconds report_interval{10'000};  // of gauges that look at every device
  };
  struct Parts {
    std::unique_ptr<kafka::Producer> producer{};
    std::unique_ptr<kafka::PartitionReader> states{};
    std::unique_ptr<RecordJudge> judge{};
  };

  /// What is passed by reference must outlive it.
  RawHandler(const Options& options, const Clock& clock, const Logger& log, RawMetrics& metrics,
             const CatalogueHolder& catalogue, Parts parts);
  ~RawHandler() override;

  Result<> on_batch(std::span<const kafka::RecordView> records,
                    kafka::ConsumerControl& control) override;
  Result<> on_tick(kafka::ConsumerControl& control) override;
  Result<std::vector<kafka::StartPosition>> on_assigned(
      std::span<const kafka::TopicPartition> partitions) override;
  void on_revoking(std::span<const kafka::TopicPartition> partitions,
                   kafka::ConsumerControl& control) override;
  void on_lost(std::span<const kafka::TopicPartition> partitions) override;
  Result<> on_poison(const kafka::RecordView& record, const Error& error, int attempts) override;

  /// An output was lost: see above.
  bool is_broken() const { return is_broken_; }

 private:
  /// A state that waits until the outputs of what it includes are acknowledged.
  struct PendingState {
    std::string key;
    std::optional<std::string> value;  // nullopt: of a device that is forgotten
  };
  /// A partition while it is ours.
  struct Owned {
    Owned(kafka::Partition number, std::uint16_t token, const Options& options)
        : partition(number), ownership(token), state(options.stream, options.filter_capacity) {}

    const kafka::Partition partition;
    const std::uint16_t ownership;  // of tokens: acknowledgements may come after the partition went
    bool is_restored = false;
    OffsetTracker tracker{};
    PartitionState state;
    std::vector<PendingState> pending{};
    std::int64_t pending_place = -1;
    MonoTime next_save{};
  };

  Owned* find(kafka::Partition partition);
  Owned& add(kafka::Partition partition);
  void remove(kafka::Partition partition);
  Result<> restore();
  Result<> handle(const kafka::RecordView& record, Owned& owned, const Catalogue& catalogue);
  Result<> wait_for_room();
  Result<> append(const kafka::Record& record, std::uint64_t token);
  Result<> append_outputs(const kafka::RecordView& record, const Owned& owned);
  void take_completions();
  void save_states(Owned& owned, bool is_last);
  void send_pending(Owned& owned);
  void report();

  const Options options_;
  const Clock& clock_;
  const Logger& log_;
  RawMetrics& metrics_;
  const CatalogueHolder& catalogue_;
  Parts parts_;
  FairOrder fair_order_;
  std::vector<std::unique_ptr<Owned>> owned_;
  std::uint16_t next_ownership_ = 1;  // 0 is for records that nobody waits for
  std::vector<FairOrder::Item> items_;
  std::vector<Owned*> owners_;
  std::vector<kafka::Completion> completions_;
  Outputs outputs_;
  bool is_mid_batch_ = false;  // a batch was left after an error, and comes again
  bool is_broken_ = false;
  MonoTime next_report_{};
  double reported_devices_ = 0;
  double reported_bytes_ = 0;
};

}  // namespace sluice::validator
