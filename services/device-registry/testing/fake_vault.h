#pragma once

#include "ports.h"

#include <format>
#include <string>
#include <utility>

#include <sluice/base/encoding.h>

namespace sluice::registry::testing {

/// A Vault without cryptography: secrets are told apart, nothing is hidden. One thread.
class FakeVault final : public Vault {
 public:
  MintedToken mint(TokenKind kind) override {
    const std::string id = mint_id();
    const std::string secret(43, static_cast<char>('a' + next_ % 26));
    return {.id = id,
            .salt = "salt",
            .hash = "hash:" + secret,
            .text = prefix(kind) + id + "_" + secret};
  }
  Result<MintedToken> adopt(TokenKind kind, std::string_view text) override {
    SLUICE_TRY_ASSIGN(const PresentedToken token, parse(kind, text));
    return MintedToken{
        .id = token.id, .salt = "salt", .hash = "hash:" + token.secret, .text = std::string(text)};
  }
  Result<PresentedToken> parse(TokenKind kind, std::string_view text) const override {
    if (text.size() != 60 || !text.starts_with(prefix(kind)) || text[16] != '_') {
      return fail(ErrorCode::kInvalidArgument, "not a token");
    }
    return PresentedToken{.id = std::string(text.substr(4, 12)),
                          .secret = std::string(text.substr(17))};
  }
  bool matches(std::string_view, std::string_view hash, std::string_view secret) const override {
    return hash == std::format("hash:{}", secret);
  }
  std::string mint_id() override { return std::format("id{:010}", ++next_); }
  std::string mint_key() override { return std::string(32, 'k'); }
  Result<std::string> seal(std::string_view plain, std::string_view context) const override {
    return std::format("{}|{}", context, plain);
  }
  Result<std::string> open(std::string_view sealed, std::string_view context) const override {
    const std::string front = std::format("{}|", context);
    if (!sealed.starts_with(front)) return fail(ErrorCode::kDataLoss, "sealed for something else");
    return std::string(sealed.substr(front.size()));
  }
  std::string digest(std::string_view bytes) const override { return std::string(bytes); }
  Result<> check_public_key(std::string_view pem) const override {
    if (pem.starts_with("-----BEGIN PUBLIC KEY-----")) return {};
    return fail(ErrorCode::kInvalidArgument, "is not a public key");
  }
  /// The signature is the third part, and right where it is the word "signed".
  Result<WallTime> verify_jwt(std::string_view jwt, std::string_view,
                              std::string_view) const override {
    if (jwt.ends_with(".signed")) return jwt_expires_at;
    return fail(ErrorCode::kUnauthenticated, "bad signature");
  }

  WallTime jwt_expires_at = WallTime::max();  // what every token says of itself

 private:
  static std::string prefix(TokenKind kind) {
    return kind == TokenKind::kOperator ? "slk_" : "sld_";
  }

  int next_ = 0;
};

}  // namespace sluice::registry::testing
