#pragma once

#include "adapters/postgres_store.h"
#include "core/lost_changes.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/base/uuid.h>
#include <sluice/kafka/partition_reader.h>
#include <sluice/kafka/topic_admin.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/leadership.h>
#include <sluice/postgres/pool.h>

namespace sluice::registry {

/// Notices that the database has lost what control.devices was told, and tells the topic anew what
/// the database has: see core/lost_changes.h. A database that was restored says nothing of it, so
/// the whole topic is compared, once by each new leader: a restore ends every session with
/// PostgreSQL, and with it the leadership. Publishing does not wait for it: new changes have
/// revisions above all that were told.
///
/// Nothing is told gone by a database that knows fewer of the topic's devices than it does not
/// know: that is a wrong or an empty one, and its devices' sessions would end for nothing. Devices
/// alone count, for every database has a tenant, and classes and policies have names that any may
/// have.
///
/// For a PeriodicTask; on its thread alone. A comparison that did not come to its end is made
/// again.
class TopicRepair {
 public:
  /// What it reads with, opened for each comparison: clients that are not used for weeks are not
  /// kept.
  struct Kafka {
    std::unique_ptr<kafka::TopicAdmin> admin;
    std::unique_ptr<kafka::PartitionReader> reader;
  };
  using OpenKafka = std::function<Result<Kafka>()>;
  struct Options {
    /// From the beginning of a term to its comparison, and from one that did not come to its end to
    /// the next: for as long, what a lost leader has sent may still arrive.
    std::chrono::milliseconds quiet_time{0};
    /// Things told gone by one comparison, and how many of them are kept in mind meanwhile.
    std::size_t most_told_gone = 100'000;
  };

  /// Everything passed by reference must outlive it.
  TopicRepair(OpenKafka open_kafka, postgres::Pool& pool, const Clock& clock, Random& random,
              const Logger& log, Registry& registry, Options options);

  Result<> run(const std::stop_token& stop);

 private:
  /// What is told of each thing of a partition, by key.
  using Tellings = std::unordered_map<std::string, Told>;
  struct Lost {
    std::string key;
    bool is_known = false;  // the database has the thing
    bool is_told_gone = false;
  };
  /// What one comparison has found.
  struct Findings {
    std::size_t known_devices = 0;  // of the topic's, those that the database has
    std::size_t unknown_devices = 0;
    std::vector<Told> unknown{};  // things of all kinds that it has not
    std::size_t left = 0;         // more of them than are told gone at a time
    std::size_t told_anew = 0;
    std::size_t told_gone = 0;
    std::size_t failed = 0;  // things that could not be mended
    std::optional<Error> failure{};
    std::size_t malformed = 0;  // records
  };

  /// Whether it came to its end.
  Result<bool> repair(const std::stop_token& stop);
  Result<> repair_partition(kafka::PartitionReader& reader, std::int32_t partition,
                            const std::stop_token& stop, Findings& findings);
  Result<Tellings> read(kafka::PartitionReader& reader, std::int32_t partition,
                        const std::stop_token& stop, Findings& findings);
  Result<std::vector<Lost>> find_lost(const Tellings& tellings, Findings& findings);
  /// Of these keys, those whose record waits in the outbox.
  Result<std::vector<std::string>> waiting(std::span<const std::string> keys);
  void note_unknown(Told told, Findings& findings);
  /// Tells gone what the database has not, if it is to be believed.
  Result<> tell_gone(const std::stop_token& stop, Findings& findings);
  /// An error where too many things could not be mended; the first is among the findings before.
  Result<> mend_one(const Told& told, Findings& findings);
  void log_outcome(const Findings& findings) const;

  const OpenKafka open_kafka_;
  postgres::Pool& pool_;
  const Clock& clock_;
  UuidGenerator uuids_;
  const Logger& log_;
  const Options options_;
  PostgresStore store_;
  postgres::Leadership leadership_;
  std::uint64_t term_ = 0;
  std::uint64_t compared_term_ = 0;
  MonoTime compare_at_{};
  Counter told_anew_;
  Counter told_gone_;
  Counter told_later_;
  Counter withheld_;
};

}  // namespace sluice::registry
