#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/config/settings.h>

namespace sluice::crypto {

/// What a store keeps of a secret that it must recognise and never know. One round of SHA-256 is
/// right for secrets that we mint (256 random bits, no dictionary to try) and only for those: never
/// for passwords that people choose.
struct SaltedHash {
  std::string salt;  // kSaltSize random bytes
  std::string hash;  // SHA-256 of salt and secret, 32 bytes

  static SaltedHash of(std::string_view secret, Random& random);
  /// In time that does not depend on how much of the secret is right. False for a damaged record.
  bool matches(std::string_view secret) const;

  bool operator==(const SaltedHash&) const = default;
};

/// 16 bytes, so that no two records share a salt in practice.
inline constexpr std::size_t kSaltSize = 16;

/// A fresh secret of 256 random bits as 43 characters of base64url. `random` must be SystemRandom
/// anywhere but in tests.
Secret mint_secret(Random& random);

/// The text of every bearer credential that we mint: `<prefix>_<id>_<secret>`, where the id (12
/// characters of A-Z a-z 0-9) finds the record and the secret (43 characters of base64url, 256
/// bits) is checked against its SaltedHash. The prefix tells kinds apart and lets secret scanners
/// find leaks.
struct Token {
  std::string id;
  Secret secret;

  static Token mint(Random& random);
  /// Strict: exactly this prefix, these sizes, these characters, nothing around them. The error
  /// never quotes the text.
  static Result<Token> parse(std::string_view prefix, std::string_view text);

  /// The whole text, to be shown once to its owner.
  Secret text(std::string_view prefix) const;
};

inline constexpr std::size_t kTokenIdSize = 12;
inline constexpr std::size_t kTokenSecretSize = 43;
inline constexpr std::string_view kApiKeyPrefix = "slk";
inline constexpr std::string_view kDeviceTokenPrefix = "sld";

}  // namespace sluice::crypto
