#pragma once

#include "core/records.h"
#include "core/resource.h"
#include "ports.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/base/uuid.h>

/// What was told on control.devices and is in the database no more: it was restored from a backup,
/// or a standby took over without the last transactions. Followers believe the later state, so what
/// the database has must be told anew, above what they know.
namespace sluice::registry {

/// What control.devices has told of one thing.
struct Told {
  Resource thing{};  // kind, tenant, id, and the highest revision that was told; 0: none
  bool is_gone = false;
  // Of a device:
  bool is_revoked = false;  // in any of its states, for none takes a revocation back
  std::vector<std::string> active_credential_ids{};

  /// Goes on with the next record about the thing.
  void follow(Told next);
};
/// What one record tells; nullopt for what is no record of ours. A revision of after the year 9999
/// is none: it would leave no room above it.
std::optional<Told> read_told(std::string_view key, std::optional<std::string_view> value);

/// What of a thing in the database shows what it has lost.
struct Stored {
  std::int64_t revision = 0;
  bool is_revoked = false;  // a device
};
/// Whether a thing that is stored so (nullopt: not at all) was told of otherwise. What the database
/// knows is told later than it is written, so that a higher revision, or a thing that it has never
/// heard of, can only be what it has lost. So can a revocation, whatever the revision: the device
/// may have been written since the restore.
bool is_lost(const Told& told, const std::optional<Stored>& stored);

enum class Mended : std::uint8_t {
  kNothing,   // changed meanwhile
  kToldAnew,  // as the database has it
  kToldGone,  // the database has none
};
/// Tells of the thing as the database has it, under a revision above all that were told. Of what
/// was lost, one thing is taken back from the topic: that a device or a credential was revoked. A
/// backup must not let in whom an operator has put out. Audited as done by this service.
Result<Mended> mend(Transaction& transaction, const Told& told, const Occasion& occasion,
                    UuidGenerator& uuids);

}  // namespace sluice::registry
