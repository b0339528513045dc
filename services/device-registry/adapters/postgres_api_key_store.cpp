#include "adapters/postgres_api_key_store.h"

#include "core/json.h"

#include <sluice/base/clock.h>

namespace sluice::registry {

Result<std::optional<auth::ApiKeyRecord>> StoreApiKeyStore::find(std::string_view id) {
  // The tenant is what is being found out.
  SLUICE_TRY_ASSIGN(
      const std::optional<ApiKeyRecord> record,
      in_transaction(store_, Scope::all_tenants(), {.mode = Mode::kRead},
                     [&](Transaction& transaction) { return transaction.find_api_key(id); }));
  if (!record) return std::optional<auth::ApiKeyRecord>();
  auth::ApiKeyRecord found{
      .id = record->key.id,
      .hash = {.salt = record->salt, .hash = record->secret_hash},
      .tenant = record->key.tenant,
      .role = auth::parse_role(text_at(record->key.fields, "role")).value_or(auth::Role::kViewer),
      .name = text_at(record->key.fields, "name"),
      .expires = std::nullopt,
      .is_revoked = record->is_revoked || !record->is_tenant_active};
  if (const auto expires = parse_rfc3339(text_at(record->key.fields, "expires_at")))
    found.expires = *expires;
  return std::optional(std::move(found));
}

}  // namespace sluice::registry
