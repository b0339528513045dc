#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::crypto {

/// The signature algorithms we accept. Each belongs to exactly one type of key, so that a token
/// cannot choose how its key is used: no "none", no HMAC, no RSA with a public key as shared
/// secret.
enum class SignatureAlgorithm : std::uint8_t { kRs256, kEs256, kEdDsa };

/// "RS256" and so on.
std::string_view to_string(SignatureAlgorithm algorithm);

/// A public key that checks signatures: RSA of 2048 to 8192 bits, EC P-256 or Ed25519.
/// Immutable, so thread-safe; copies share the key.
class PublicKey {
 public:
  static Result<PublicKey> from_pem(std::string_view pem);
  /// One JSON Web Key (RFC 7517, 8037). Private keys and symmetric keys are refused.
  static Result<PublicKey> from_jwk(std::string_view json);

  /// The one algorithm this key is for.
  SignatureAlgorithm algorithm() const;
  /// `signature` as JWS has it: for ES256 the 64 bytes r and s, not DER.
  bool verify(std::string_view message, std::string_view signature) const;

 private:
  friend class JwkSet;
  struct Impl;
  explicit PublicKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;  // owned by every copy of the key together
};

/// The keys of a JSON Web Key Set, found by `kid`. Immutable, so thread-safe.
class JwkSet {
 public:
  /// Keys that are not for our use (encryption, other types or curves, too short) are passed over
  /// and counted, as a provider may publish many kinds. An error when the text is no key set, no
  /// key is left, two usable keys share a kid, or there are more than kMaxJwks.
  static Result<JwkSet> parse(std::string_view json);

  /// Null when there is none. Lives as long as the set.
  const PublicKey* find(std::string_view kid) const;
  std::size_t size() const { return keys_.size(); }
  std::size_t skipped() const { return skipped_; }

 private:
  struct Entry {
    std::string kid;
    PublicKey key;
  };

  JwkSet(std::vector<Entry> keys, std::size_t skipped);

  std::vector<Entry> keys_;
  std::size_t skipped_ = 0;
};

/// Providers publish two or three keys; a hundred is a fault or an attack.
inline constexpr std::size_t kMaxJwks = 100;

}  // namespace sluice::crypto
