#include "adapters/rest_tenant_directory.h"

#include "core/json.h"

namespace sluice::registry {

Result<bool> StoreTenantDirectory::is_active(const TenantId& tenant) {
  const auto found = in_transaction(
      store_, Scope::of(tenant), {.mode = Mode::kRead}, [&](Transaction& transaction) {
        return transaction.find(ResourceKind::kTenant, tenant.value(), Transaction::Lock::kNone);
      });
  if (found) return text_at(found->fields, "status") == "active";
  if (found.error().code() == ErrorCode::kNotFound) return false;
  return fail(found.error());
}

}  // namespace sluice::registry
