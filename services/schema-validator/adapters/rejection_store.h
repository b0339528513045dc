#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/ids.h>
#include <sluice/base/result.h>
#include <sluice/base/uuid.h>
#include <sluice/postgres/pool.h>

namespace sluice::validator {

/// Where a rejected message is in telemetry.rejected, in the order that they were rejected in.
struct RejectionPlace {
  WallTime rejected_at{};
  std::int32_t partition = 0;
  std::int64_t offset = 0;
};

/// One rejected message as the index knows it.
struct RejectionRow {
  RejectionPlace place{};
  std::string tenant{};
  std::string device_id{};
  std::optional<Uuid> message_id{};
  std::optional<WallTime> received_at{};
  std::string reason{};
  std::string detail{};
  std::string pointer{};
  std::string schema_id{};
  std::string schema_version{};
};

/// Which of them are meant; what is empty means all.
struct RejectionSelection {
  std::optional<WallTime> from{};  // rejected at or after
  std::optional<WallTime> to{};    // and before
  std::optional<std::string> reason{};
  std::optional<std::string> pointer{};
  std::optional<std::string> schema_id{};
  std::optional<std::string> device_id{};
};

/// Rejected messages of one cause.
struct RejectionGroup {
  std::string reason{};
  std::string schema_id{};
  std::string pointer{};
  std::int64_t count = 0;
  std::int64_t devices = 0;
  WallTime first_at{};
  WallTime last_at{};
};

/// A re-drive as operators see it.
struct Redrive {
  std::string tenant{};
  std::string redrive_id{};
  std::string selection{};  // JSON
  std::string state{};
  std::optional<std::string> reason{};
  std::int64_t selected = 0;
  std::int64_t sent = 0;
  std::int64_t missing = 0;
  std::optional<RejectionPlace> cursor{};
  WallTime created_at{};
  std::optional<WallTime> finished_at{};
};

/// The index of telemetry.rejected in PostgreSQL, and the re-drives that are made from it.
/// Thread-safe; blocks as long as the database does.
class RejectionStore {
 public:
  explicit RejectionStore(postgres::Pool& pool) : pool_(pool) {}

  /// All of them or none; those that are there already stay as they are.
  Result<> insert(std::span<const RejectionRow> rows);
  /// Forgets whole days before that one.
  Result<std::int64_t> drop_before(WallTime time);

  Result<std::vector<RejectionRow>> list(const TenantId& tenant,
                                         const RejectionSelection& selection,
                                         const std::optional<RejectionPlace>& after,
                                         std::int64_t limit);
  /// The same by partition and offset, which keeps the order of each device: for re-drives.
  Result<std::vector<RejectionRow>> list_in_log_order(const TenantId& tenant,
                                                      const RejectionSelection& selection,
                                                      const std::optional<RejectionPlace>& after,
                                                      std::int64_t limit);
  Result<RejectionRow> find(const TenantId& tenant, std::int32_t partition, std::int64_t offset);
  Result<std::vector<RejectionGroup>> groups(const TenantId& tenant,
                                             const RejectionSelection& selection,
                                             std::int64_t limit);

  struct NewRedrive {
    TenantId tenant{};
    std::string redrive_id{};
    RejectionSelection selection{};
    std::string selection_json{};
    std::int64_t max_messages = 0;
    std::string by{};
    std::string traceparent{};
    std::string audit{};  // serialized record
    /// Counts what would be sent and begins nothing.
    bool is_dry_run = false;
  };
  /// Begins a re-drive, or gives the one of that id, whose selection must be the same
  /// (kAlreadyExists otherwise). kFailedPrecondition, reason "too_many_messages", past
  /// max_messages.
  Result<Redrive> begin_redrive(const NewRedrive& redrive);
  Result<Redrive> find_redrive(const TenantId& tenant, std::string_view redrive_id);
  Result<std::vector<Redrive>> list_redrives(const TenantId& tenant, std::string_view after,
                                             std::int64_t limit);
  /// The one that runs and was touched the longest time ago, of any tenant.
  Result<std::optional<Redrive>> next_redrive();
  /// Writes state, counts and cursor of a re-drive whose cursor was `from`. kAborted, reason
  /// "redrive_moved", where it is not there any more: an instance that took over has gone on, and
  /// one that comes late must not take it back.
  Result<> advance_redrive(const Redrive& redrive, const std::optional<RejectionPlace>& from);

 private:
  postgres::Pool& pool_;
};

/// What a stored selection says, and back.
std::string to_json(const RejectionSelection& selection);
Result<RejectionSelection> parse_selection(std::string_view json);

}  // namespace sluice::validator
