#pragma once

#include "core/caller.h"
#include "ports.h"

#include <string>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::registry {

/// The first key of a new installation, without which nobody could make one.
struct Bootstrap {
  TenantId tenant{};       // made when missing
  std::string key_name{};  // the API key's name
  Role role = Role::kAdmin;
  std::string api_key{};  // "slk_…", from a file
};

/// Makes tenant and key exist. Repeating it changes nothing; a key that was revoked stays revoked.
/// kInvalidArgument for a key that is not in our format.
Result<> ensure_operator_key(Store& store, Vault& vault, const Bootstrap& bootstrap);

}  // namespace sluice::registry
