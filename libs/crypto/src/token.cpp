#include <sluice/crypto/token.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include <sluice/base/encoding.h>
#include <sluice/crypto/hash.h>

namespace sluice::crypto {
namespace {

constexpr std::string_view kIdDigits =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kHashSize = 32;

std::string random_bytes(std::size_t size, Random& random) {
  std::string out(size, '\0');
  random.fill(std::as_writable_bytes(std::span(out)));
  return out;
}

std::string salted_hash(std::string_view salt, std::string_view secret) {
  std::string bytes;
  bytes.reserve(salt.size() + secret.size());
  bytes.append(salt).append(secret);
  std::string hash = sha256(bytes);
  wipe(bytes);
  return hash;
}

}  // namespace

SaltedHash SaltedHash::of(std::string_view secret, Random& random) {
  SaltedHash out;
  out.salt = random_bytes(kSaltSize, random);
  out.hash = salted_hash(out.salt, secret);
  return out;
}

bool SaltedHash::matches(std::string_view secret) const {
  if (salt.size() != kSaltSize || hash.size() != kHashSize) return false;
  return equal_constant_time(salted_hash(salt, secret), hash);
}

Secret mint_secret(Random& random) {
  std::string bytes = random_bytes(kSecretBytes, random);
  Secret secret(to_base64url(bytes));
  wipe(bytes);
  return secret;
}

Token Token::mint(Random& random) {
  Token token;
  token.id.reserve(kTokenIdSize);
  for (std::size_t i = 0; i < kTokenIdSize; ++i) {
    token.id += kIdDigits[random.below(kIdDigits.size())];
  }
  token.secret = mint_secret(random);
  return token;
}

Result<Token> Token::parse(std::string_view prefix, std::string_view text) {
  const auto refuse = [] {
    return fail(Error(ErrorCode::kUnauthenticated, "not a token of the expected form")
                    .with_reason("token_malformed"));
  };
  // Sizes first: '_' is also a digit of base64url, so that splitting at it would be ambiguous.
  if (text.size() != prefix.size() + 1 + kTokenIdSize + 1 + kTokenSecretSize) return refuse();
  const std::string_view id = text.substr(prefix.size() + 1, kTokenIdSize);
  const std::string_view secret = text.substr(text.size() - kTokenSecretSize);
  if (!text.starts_with(prefix) || text[prefix.size()] != '_' ||
      text[prefix.size() + 1 + kTokenIdSize] != '_') {
    return refuse();
  }
  if (id.find_first_not_of(kIdDigits) != std::string_view::npos) return refuse();
  if (!from_base64url(secret)) return refuse();
  return Token{.id = std::string(id), .secret = Secret(std::string(secret))};
}

Secret Token::text(std::string_view prefix) const {
  std::string out;
  out.reserve(prefix.size() + id.size() + kTokenSecretSize + 2);
  out.append(prefix).append("_").append(id).append("_").append(secret.reveal());
  return Secret(std::move(out));
}

}  // namespace sluice::crypto
