#pragma once

#include "ports.h"

#include <optional>
#include <string_view>

#include <sluice/auth/api_key_store.h>

namespace sluice::registry {

/// Operators' keys for auth::OperatorAuthenticator, out of this service's own Store. The keys of a
/// suspended tenant count as revoked. Thread-safe; `store` must outlive it.
class StoreApiKeyStore final : public auth::ApiKeyStore {
 public:
  explicit StoreApiKeyStore(Store& store) : store_(store) {}
  Result<std::optional<auth::ApiKeyRecord>> find(std::string_view id) override;

 private:
  Store& store_;
};

}  // namespace sluice::registry
