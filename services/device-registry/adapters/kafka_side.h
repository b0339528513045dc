#pragma once

#include "adapters/presence_reader.h"
#include "adapters/topic_repair.h"
#include "ports.h"

#include <memory>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/change_publisher/change_publisher.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/pool.h>
#include <sluice/service/periodic_task.h>

namespace sluice::registry {

/// The Kafka side of the registry: publishes what changed, and anew what a restored database has
/// lost; tells of refusals, follows presence.
/// Nothing here is needed to answer a device, so Kafka may be down when it starts and while it
/// runs.
class KafkaSide final : public AuditTrail {
 public:
  struct Options {
    ChangePublisher::Options changes;
    PresenceReader::Options presence;
  };

  /// Everything passed by reference must outlive it.
  static Result<std::unique_ptr<KafkaSide>> open(Options options, postgres::Pool& pool,
                                                 const Clock& clock, Random& random,
                                                 const Logger& log, Registry& registry);

  /// Of operators; the devices' door makes its audit records itself and hands them to record().
  audit::Trail& audit() { return changes_->audit(); }
  void record(const common::v1::AuditRecord& record) override;
  bool is_ready() const { return changes_->is_ready(); }
  void stop();

 private:
  struct World {
    postgres::Pool& pool;
    const Clock& clock;
    Random& random;
    const Logger& log;
    Registry& registry;
  };
  KafkaSide(std::unique_ptr<ChangePublisher> changes, std::unique_ptr<PresenceReader> presence,
            TopicRepair::OpenKafka open_kafka, const TopicRepair::Options& repair,
            const World& world);

  const std::unique_ptr<ChangePublisher> changes_;
  const std::unique_ptr<PresenceReader> presence_;
  TopicRepair repair_;
  service::PeriodicTask repair_task_;  // last: it calls the one before
};

}  // namespace sluice::registry
