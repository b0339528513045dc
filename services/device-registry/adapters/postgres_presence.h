#pragma once

#include "ports.h"

#include <span>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/postgres/pool.h>

namespace sluice::registry {

/// Presence in PostgreSQL: one statement, which is its own transaction, for all devices of a batch.
/// The merge is made by the database under the row's lock, so two readers of events that meet at a
/// device (partitions move) cannot undo each other. Thread-safe; `pool` must outlive it.
class PostgresPresence final : public PresenceStore {
 public:
  explicit PostgresPresence(postgres::Pool& pool) : pool_(pool) {}

  Result<std::vector<PresenceOutcome>> merge(
      std::span<const PresenceFold::Change* const> changes) override;

 private:
  postgres::Pool& pool_;
};

}  // namespace sluice::registry
