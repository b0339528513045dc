#include "core/bootstrap.h"

#include "core/json.h"

namespace sluice::registry {

Result<> ensure_operator_key(Store& store, Vault& vault, const Bootstrap& bootstrap) {
  SLUICE_TRY(check_id(bootstrap.tenant.value(), "tenant"));
  SLUICE_TRY_ASSIGN(const MintedToken token, vault.adopt(TokenKind::kOperator, bootstrap.api_key));
  // Looked for among all tenants: a key file given to a second tenant must not open both.
  return store.run(Scope::all_tenants(), {}, [&](Transaction& transaction) -> Result<> {
    SLUICE_TRY(transaction.ensure_tenant(bootstrap.tenant.value()));
    SLUICE_TRY_ASSIGN(const std::optional<ApiKeyRecord> existing,
                      transaction.find_api_key(token.id));
    if (existing) {
      if (existing->key.tenant == bootstrap.tenant) return {};
      return fail(ErrorCode::kAlreadyExists, "the operator key belongs to another tenant");
    }
    Resource key{.kind = ResourceKind::kApiKey, .tenant = bootstrap.tenant, .id = token.id};
    key.fields = {
        {"key_id", token.id}, {"name", bootstrap.key_name}, {"role", to_string(bootstrap.role)}};
    SLUICE_TRY(transaction.insert_api_key(key, token.salt, token.hash));
    return {};
  });
}

}  // namespace sluice::registry
