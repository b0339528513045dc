#pragma once

#include <sluice/base/ids.h>
#include <sluice/base/result.h>

namespace sluice::auth {

/// Port: which tenants there are. The identity provider knows its people and not our tenants, so a
/// token of a suspended tenant, or of one that we never had, is as genuine as any other. Called
/// from any thread, may block up to its own deadline.
class TenantDirectory {
 public:
  virtual ~TenantDirectory() = default;
  /// False for a tenant that is suspended or does not exist; an error when that could not be found
  /// out.
  virtual Result<bool> is_active(const TenantId& tenant) = 0;
};

}  // namespace sluice::auth
