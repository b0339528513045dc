#pragma once

#include <chrono>
#include <cstddef>
#include <stop_token>

#include <sluice/base/result.h>
#include <sluice/kafka/sender.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/leadership.h>
#include <sluice/postgres/pool.h>

namespace sluice::registry {

/// Publishes what transactions left in the outbox, in order, each record at least once and never
/// one of a transaction that was rolled back. One instance of the service does it at a time.
///
/// Order: a record's number is drawn while its transaction holds the row that the record is about,
/// so among records of one key, numbers rise in the order of commits; and Kafka keeps the order of
/// a key. Records of a later number may be published before those of a long transaction that is not
/// yet committed: that is between different keys alone. Rows are deleted in the transaction that
/// read them, after Kafka has acknowledged all of the batch; a crash between repeats the batch.
///
/// For a PeriodicTask: run() ends when the outbox is empty, another instance leads, or on stop.
/// Metrics: sluice_registry_outbox_published_total, sluice_registry_outbox_leader.
class KafkaOutbox {
 public:
  struct Options {
    std::size_t batch_records = 5000;  // published and deleted together: about 2 MB
    std::chrono::milliseconds send_timeout = std::chrono::seconds(30);
  };

  KafkaOutbox(postgres::Pool& pool, kafka::Sender& sender, Registry& registry, Options options);
  KafkaOutbox(postgres::Pool& pool, kafka::Sender& sender, Registry& registry)
      : KafkaOutbox(pool, sender, registry, Options()) {}

  Result<> run(std::stop_token stop);

 private:
  Result<std::size_t> publish_batch();

  kafka::Sender& sender_;
  const Options options_;
  postgres::Leadership leadership_;
  Counter published_;
  Gauge leads_;
};

}  // namespace sluice::registry
