#pragma once

#include "adapters/rejection_store.h"

#include <chrono>
#include <cstdint>

#include <sluice/base/clock.h>
#include <sluice/kafka/consumer_loop.h>
#include <sluice/metrics/metrics.h>

namespace sluice::validator {

/// Follows telemetry.rejected in a group of its own and keeps the index that operators browse. The
/// bytes stay in Kafka. Losing PostgreSQL for a while makes the index late and loses nothing: the
/// offset is committed when its rows are. One owner thread.
class RejectionIndex final : public kafka::RecordHandler {
 public:
  /// `store`, `clock` and `registry` must outlive it.
  RejectionIndex(RejectionStore& store, std::chrono::days kept, const Clock& clock,
                 Registry& registry);
  Result<> on_batch(std::span<const kafka::RecordView> records,
                    kafka::ConsumerControl& control) override;
  /// A record that the database refuses for good is left out of the index, and counted.
  Result<> on_poison(const kafka::RecordView& record, const Error& error, int attempts) override;

 private:
  RejectionStore& store_;
  const std::chrono::days kept_;
  const Clock& clock_;
  Counter indexed_;
  Counter unindexed_;
};

/// What the index keeps of a record of telemetry.rejected; nullopt where it is none.
std::optional<RejectionRow> rejection_row_of(const kafka::RecordView& record);

}  // namespace sluice::validator
