#pragma once

#include "ports.h"

#include <memory>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/config/settings.h>
#include <sluice/crypto/key_ring.h>

namespace sluice::registry {

/// The Vault over libs/crypto. Thread-safe; `clock` and `random` must outlive it.
class CryptoVault final : public Vault {
 public:
  /// `keys` is the text of a crypto::KeyRing; `jwt_audience` is what devices' own tokens must name
  /// as their audience ("sluice").
  static Result<std::unique_ptr<CryptoVault>> open(const Secret& keys, std::string jwt_audience,
                                                   const Clock& clock, Random& random);

  MintedToken mint(TokenKind kind) override;
  Result<MintedToken> adopt(TokenKind kind, std::string_view text) override;
  Result<PresentedToken> parse(TokenKind kind, std::string_view text) const override;
  bool matches(std::string_view salt, std::string_view hash,
               std::string_view secret) const override;
  std::string mint_id() override;
  std::string mint_key() override;
  Result<std::string> seal(std::string_view plain, std::string_view context) const override;
  Result<std::string> open(std::string_view sealed, std::string_view context) const override;
  std::string digest(std::string_view bytes) const override;
  Result<> check_public_key(std::string_view pem) const override;
  Result<WallTime> verify_jwt(std::string_view jwt, std::string_view public_key_pem,
                              std::string_view subject) const override;

 private:
  CryptoVault(crypto::KeyRing ring, std::string jwt_audience, const Clock& clock, Random& random);

  const crypto::KeyRing ring_;
  const std::string jwt_audience_;
  const Clock& clock_;
  Random& random_;
};

}  // namespace sluice::registry
