#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/crypto/jwk.h>

namespace sluice::crypto {

/// What a token must say to be believed.
struct JwtPolicy {
  std::string issuer;               // `iss`, exactly; must not be empty
  std::string audience;             // `aud`, exactly, or one of its array; must not be empty
  std::chrono::seconds leeway{30};  // difference of clocks that exp, nbf and iat are forgiven
};

/// The claims of a verified token.
class JwtClaims {
 public:
  JwtClaims(JwtClaims&&) noexcept;
  JwtClaims& operator=(JwtClaims&&) noexcept;
  ~JwtClaims();

  const std::string& subject() const;  // `sub`, never empty
  WallTime expires() const;            // `exp`

  /// A claim by name, or, when no claim has that very name, by its path from the top with dots
  /// ("realm_access.roles"). text(): a JSON string. texts(): an array of strings, or one string,
  /// whose words are then taken (as OAuth's `scope` has them). Empty when absent or of another
  /// type.
  std::optional<std::string> text(std::string_view name) const;
  std::vector<std::string> texts(std::string_view name) const;

 private:
  friend class JwtReader;
  struct Impl;
  explicit JwtClaims(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Longest token looked at; larger ones are refused before anything is decoded.
inline constexpr std::size_t kMaxJwtSize = 8 * 1024;

/// The `kid` of a token's header, for finding the key to check it with. Nothing has been proven
/// about a token at this point. nullopt when it has none, or is no token that verify_jwt could
/// accept.
std::optional<std::string> unverified_kid(std::string_view token);

/// Checks a JSON Web Token in compact form (RFC 7519, 8725) and returns its claims. The key is the
/// one of `keys` that the token names by `kid`, which it must. Refused with kUnauthenticated and a
/// reason: "jwt_malformed", "jwt_algorithm", "jwt_unknown_key", "jwt_signature", "jwt_expired",
/// "jwt_not_yet_valid", "jwt_issuer", "jwt_audience", "jwt_subject". Messages never quote the
/// token.
Result<JwtClaims> verify_jwt(std::string_view token, const JwkSet& keys, const JwtPolicy& policy,
                             WallTime now);

/// The same with one key that is known beforehand, such as a device's own; `kid` is not looked at.
Result<JwtClaims> verify_jwt(std::string_view token, const PublicKey& key, const JwtPolicy& policy,
                             WallTime now);

}  // namespace sluice::crypto
