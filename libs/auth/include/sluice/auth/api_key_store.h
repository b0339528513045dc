#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <sluice/auth/principal.h>
#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/crypto/token.h>

namespace sluice::auth {

/// An API key as its store keeps it.
struct ApiKeyRecord {
  std::string id{};
  crypto::SaltedHash hash{};
  TenantId tenant;
  Role role = Role::kViewer;
  std::string name{};                 // given by whoever made the key; the principal's subject
  std::optional<WallTime> expires{};  // none: does not run out
  bool is_revoked = false;
};

/// Port: where API keys are. Called from any thread, may block up to its own deadline.
class ApiKeyStore {
 public:
  virtual ~ApiKeyStore() = default;
  /// nullopt when there is no such key; an error when that could not be found out.
  virtual Result<std::optional<ApiKeyRecord>> find(std::string_view id) = 0;
  /// The same of a key as somebody presented it: what is asked. For a store that is another
  /// service, which hands out no hashes and says only whether a key is right: it answers a record
  /// whose hash it made of the presented secret.
  virtual Result<std::optional<ApiKeyRecord>> find_presented(const crypto::Token& key) {
    return find(key.id);
  }
};

}  // namespace sluice::auth
