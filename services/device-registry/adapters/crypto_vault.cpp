#include "adapters/crypto_vault.h"

#include <array>
#include <cstddef>
#include <span>

#include <sluice/base/check.h>
#include <sluice/crypto/hash.h>
#include <sluice/crypto/jwk.h>
#include <sluice/crypto/jwt.h>
#include <sluice/crypto/token.h>

namespace sluice::registry {
namespace {

constexpr std::size_t kPskSize = 32;  // bytes; what TLS 1.3's strongest suites are keyed with

std::string_view prefix_of(TokenKind kind) {
  return kind == TokenKind::kOperator ? crypto::kApiKeyPrefix : crypto::kDeviceTokenPrefix;
}

MintedToken hashed(const crypto::Token& token, Random& random) {
  crypto::SaltedHash hash = crypto::SaltedHash::of(token.secret.reveal(), random);
  return {.id = token.id, .salt = std::move(hash.salt), .hash = std::move(hash.hash)};
}

}  // namespace

Result<std::unique_ptr<CryptoVault>> CryptoVault::open(const Secret& keys, std::string jwt_audience,
                                                       const Clock& clock, Random& random) {
  SLUICE_TRY_ASSIGN(crypto::KeyRing ring, crypto::KeyRing::parse(keys, random));
  return std::unique_ptr<CryptoVault>(
      new CryptoVault(std::move(ring), std::move(jwt_audience), clock, random));
}

CryptoVault::CryptoVault(crypto::KeyRing ring, std::string jwt_audience, const Clock& clock,
                         Random& random)
    : ring_(std::move(ring)),
      jwt_audience_(std::move(jwt_audience)),
      clock_(clock),
      random_(random) {}

MintedToken CryptoVault::mint(TokenKind kind) {
  const crypto::Token token = crypto::Token::mint(random_);
  MintedToken minted = hashed(token, random_);
  minted.text = token.text(prefix_of(kind)).reveal();
  return minted;
}

Result<MintedToken> CryptoVault::adopt(TokenKind kind, std::string_view text) {
  SLUICE_TRY_ASSIGN(const crypto::Token token, crypto::Token::parse(prefix_of(kind), text));
  return hashed(token, random_);
}

Result<PresentedToken> CryptoVault::parse(TokenKind kind, std::string_view text) const {
  SLUICE_TRY_ASSIGN(const crypto::Token token, crypto::Token::parse(prefix_of(kind), text));
  return PresentedToken{.id = token.id, .secret = token.secret.reveal()};
}

bool CryptoVault::matches(std::string_view salt, std::string_view hash,
                          std::string_view secret) const {
  return crypto::SaltedHash{.salt = std::string(salt), .hash = std::string(hash)}.matches(secret);
}

std::string CryptoVault::mint_id() { return crypto::Token::mint(random_).id; }

std::string CryptoVault::mint_key() {
  std::array<std::byte, kPskSize> bytes{};
  random_.fill(bytes);
  std::string key;
  key.reserve(bytes.size());
  for (const std::byte each : bytes) key.push_back(static_cast<char>(each));
  return key;
}

Result<std::string> CryptoVault::seal(std::string_view plain, std::string_view context) const {
  return ring_.seal(plain, context);
}

Result<std::string> CryptoVault::open(std::string_view sealed, std::string_view context) const {
  SLUICE_TRY_ASSIGN(const Secret plain, ring_.open(sealed, context));
  return plain.reveal();
}

std::string CryptoVault::digest(std::string_view bytes) const { return crypto::sha256(bytes); }

Result<> CryptoVault::check_public_key(std::string_view pem) const {
  SLUICE_TRY(crypto::PublicKey::from_pem(pem));
  return {};
}

Result<WallTime> CryptoVault::verify_jwt(std::string_view jwt, std::string_view public_key_pem,
                                         std::string_view subject) const {
  SLUICE_TRY_ASSIGN(const crypto::PublicKey key, crypto::PublicKey::from_pem(public_key_pem));
  // A device signs for itself: it is issuer and subject both.
  const crypto::JwtPolicy policy{.issuer = std::string(subject), .audience = jwt_audience_};
  SLUICE_TRY_ASSIGN(const crypto::JwtClaims claims,
                    crypto::verify_jwt(jwt, key, policy, clock_.wall()));
  if (claims.subject() == subject) return claims.expires();
  return fail(Error(ErrorCode::kUnauthenticated, "the token is about another device")
                  .with_reason("jwt_subject"));
}

}  // namespace sluice::registry
