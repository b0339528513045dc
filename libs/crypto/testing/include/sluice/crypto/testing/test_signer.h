#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace sluice::crypto::testing {

/// A key pair that signs JSON Web Tokens for tests, honest and dishonest ones.
class TestSigner {
 public:
  static TestSigner rsa(int bits = 2048);
  static TestSigner p256();
  static TestSigner ed25519();
  TestSigner(TestSigner&&) noexcept;
  TestSigner& operator=(TestSigner&&) noexcept;
  ~TestSigner();

  /// `header` and `payload` are JSON texts and are signed as they are, right or wrong.
  std::string sign(std::string_view header, std::string_view payload) const;
  /// The header that fits this key: {"alg":…,"kid":kid,"typ":"JWT"}.
  std::string sign_with_kid(std::string_view kid, std::string_view payload) const;
  /// The JWS signature of exactly these bytes.
  std::string signature(std::string_view message) const;

  std::string alg() const;
  /// The public key as a JSON Web Key with this kid.
  std::string jwk(std::string_view kid) const;
  std::string public_pem() const;

 private:
  struct Impl;
  explicit TestSigner(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::crypto::testing
