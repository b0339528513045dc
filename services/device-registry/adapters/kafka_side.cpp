#include "adapters/kafka_side.h"

#include <utility>

namespace sluice::registry {

Result<std::unique_ptr<KafkaSide>> KafkaSide::open(Options options, postgres::Pool& pool,
                                                   const Clock& clock, Random& random,
                                                   const Logger& log, Registry& registry) {
  SLUICE_TRY_ASSIGN(auto changes, ChangePublisher::open(std::move(options.changes), pool, clock,
                                                        random, log, registry));
  SLUICE_TRY_ASSIGN(auto presence,
                    PresenceReader::open(options.presence, pool, clock, random, log, registry));
  return std::unique_ptr<KafkaSide>(new KafkaSide(std::move(changes), std::move(presence)));
}

void KafkaSide::record(const common::v1::AuditRecord& record) { audit().send_refusal(record); }

void KafkaSide::stop() {
  presence_->stop();
  changes_->stop();
}

}  // namespace sluice::registry
