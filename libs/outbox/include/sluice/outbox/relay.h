#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/kafka/sender.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/leadership.h>
#include <sluice/postgres/pool.h>

namespace sluice::outbox {

/// Publishes what transactions left in the outbox, in order, each record at least once and never
/// one of a transaction that was rolled back. One instance of the service does it at a time.
///
/// Order: a record's number is drawn while its transaction holds the row that the record is about,
/// so among records of one key, numbers rise in the order of commits; and Kafka keeps the order of
/// a key. Records of a later number may be published before those of a long transaction that is not
/// yet committed: that is between different keys alone. Rows are deleted in the transaction that
/// read them, after Kafka has acknowledged all of the batch; a crash between repeats the batch.
///
/// A new leader may follow one that is not dead, only cut off, and whose producer still tries to
/// send what it read. All of that is in the outbox yet, so where the outbox is not empty a new
/// leader waits until such a producer must have given up, and so a state is not overtaken by an
/// older one. Against a process that was frozen for longer there is only the revision: readers drop
/// a state of a lower one.
///
/// The table `outbox` of the pool's schema is the service's own: see README.md for its columns.
///
/// For a PeriodicTask: run() ends when the outbox is empty, another instance leads, or on stop.
/// Metrics: sluice_outbox_published_total, sluice_outbox_leader, and by
/// measure() sluice_outbox_records, sluice_outbox_oldest_seconds.
class Relay {
 public:
  struct Options {
    /// Of the leadership: "device_registry.outbox". Different services on one database must differ.
    std::string lock_name;
    std::size_t batch_records = 5000;  // published and deleted together: about 2 MB
    /// Of the sender's producer.
    std::chrono::milliseconds delivery_timeout = std::chrono::seconds(5);
    std::chrono::milliseconds measure_interval = std::chrono::seconds(5);
  };

  /// Everything passed by reference must outlive it.
  Relay(postgres::Pool& pool, kafka::Sender& sender, const Clock& clock, Registry& registry,
        Options options);

  Result<> run(std::stop_token stop);
  /// Tells how much waits and since when, every measure_interval. Needs neither Kafka nor
  /// leadership: what nobody publishes is what is to be seen. On the thread of run().
  Result<> measure();

 private:
  Result<> begin_term(std::uint64_t term);
  Result<std::size_t> publish_batch();

  postgres::Pool& pool_;
  kafka::Sender& sender_;
  const Clock& clock_;
  const Options options_;
  const std::chrono::milliseconds send_timeout_;
  postgres::Leadership leadership_;
  Counter published_;
  Gauge leads_;
  Gauge records_;
  Gauge oldest_seconds_;
  // The thread of run() alone from here.
  std::uint64_t term_ = 0;
  MonoTime quiet_until_{};
  std::optional<MonoTime> measured_at_;
  std::optional<std::int64_t> oldest_id_;
  MonoTime oldest_seen_at_{};
};

}  // namespace sluice::outbox
