#pragma once

#include "ports.h"

#include <sluice/auth/tenant_directory.h>

namespace sluice::registry {

/// Which tenants are active, out of this service's own Store. Thread-safe; `store` must outlive it.
class StoreTenantDirectory final : public auth::TenantDirectory {
 public:
  explicit StoreTenantDirectory(Store& store) : store_(store) {}
  Result<bool> is_active(const TenantId& tenant) override;

 private:
  Store& store_;
};

}  // namespace sluice::registry
