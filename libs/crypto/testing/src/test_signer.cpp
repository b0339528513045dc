#include <sluice/crypto/testing/test_signer.h>

#include "openssl.h"

#include <format>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/base/encoding.h>

#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

namespace sluice::crypto::testing {
namespace {

constexpr std::size_t kP256CoordinateSize = 32;

std::string bytes_of_number(const BIGNUM* number, std::size_t size) {
  std::string out(size, '\0');
  SLUICE_CHECK(BN_bn2binpad(number, bytes_of(out), static_cast<int>(size)) ==
               static_cast<int>(size));
  return out;
}

std::string number_parameter(const EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  SLUICE_CHECK(EVP_PKEY_get_bn_param(key, name, &raw) == 1);
  const BignumPtr number(raw);
  return bytes_of_number(number.get(), static_cast<std::size_t>(BN_num_bytes(number.get())));
}

/// 32 bytes even when the number has leading zeros, as RFC 7518 wants coordinates.
std::string coordinate(const EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  SLUICE_CHECK(EVP_PKEY_get_bn_param(key, name, &raw) == 1);
  const BignumPtr number(raw);
  return bytes_of_number(number.get(), kP256CoordinateSize);
}

/// JWS has r and s side by side where OpenSSL has DER.
std::string jws_from_der(const std::string& der) {
  const unsigned char* at = bytes_of(std::string_view(der));
  const EcdsaSignaturePtr parts(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  SLUICE_CHECK(parts != nullptr);
  return bytes_of_number(ECDSA_SIG_get0_r(parts.get()), kP256CoordinateSize) +
         bytes_of_number(ECDSA_SIG_get0_s(parts.get()), kP256CoordinateSize);
}

}  // namespace

struct TestSigner::Impl {
  KeyPtr key;
  std::string alg;
};

TestSigner::TestSigner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  SLUICE_CHECK(impl_->key != nullptr);
}
TestSigner::TestSigner(TestSigner&&) noexcept = default;
TestSigner& TestSigner::operator=(TestSigner&&) noexcept = default;
TestSigner::~TestSigner() = default;

TestSigner TestSigner::rsa(int bits) {
  KeyPtr key(EVP_RSA_gen(static_cast<unsigned>(bits)));
  return TestSigner(std::make_unique<Impl>(std::move(key), "RS256"));
}

TestSigner TestSigner::p256() {
  KeyPtr key(EVP_EC_gen("P-256"));
  return TestSigner(std::make_unique<Impl>(std::move(key), "ES256"));
}

TestSigner TestSigner::ed25519() {
  KeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  return TestSigner(std::make_unique<Impl>(std::move(key), "EdDSA"));
}

std::string TestSigner::signature(std::string_view message) const {
  const EVP_MD* digest = impl_->alg == "EdDSA" ? nullptr : EVP_sha256();
  const DigestContextPtr context(EVP_MD_CTX_new());
  std::size_t size = 0;
  SLUICE_CHECK(context &&
               EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, impl_->key.get()) == 1 &&
               EVP_DigestSign(context.get(), nullptr, &size, bytes_of(message), message.size()) ==
                   1);
  std::string out(size, '\0');
  SLUICE_CHECK(
      EVP_DigestSign(context.get(), bytes_of(out), &size, bytes_of(message), message.size()) == 1);
  out.resize(size);
  return impl_->alg == "ES256" ? jws_from_der(out) : out;
}

std::string TestSigner::sign(std::string_view header, std::string_view payload) const {
  std::string text = to_base64url(header) + "." + to_base64url(payload);
  return text + "." + to_base64url(signature(text));
}

std::string TestSigner::sign_with_kid(std::string_view kid, std::string_view payload) const {
  return sign(std::format(R"({{"alg":"{}","kid":"{}","typ":"JWT"}})", impl_->alg, kid), payload);
}

std::string TestSigner::alg() const { return impl_->alg; }

std::string TestSigner::jwk(std::string_view kid) const {
  const EVP_PKEY* key = impl_->key.get();
  if (impl_->alg == "RS256") {
    return std::format(R"({{"kty":"RSA","kid":"{}","use":"sig","alg":"RS256","n":"{}","e":"{}"}})",
                       kid, to_base64url(number_parameter(key, OSSL_PKEY_PARAM_RSA_N)),
                       to_base64url(number_parameter(key, OSSL_PKEY_PARAM_RSA_E)));
  }
  if (impl_->alg == "ES256") {
    return std::format(R"({{"kty":"EC","crv":"P-256","kid":"{}","use":"sig","x":"{}","y":"{}"}})",
                       kid, to_base64url(coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X)),
                       to_base64url(coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y)));
  }
  std::string x(32, '\0');
  std::size_t size = x.size();
  SLUICE_CHECK(EVP_PKEY_get_raw_public_key(key, bytes_of(x), &size) == 1 && size == x.size());
  return std::format(R"({{"kty":"OKP","crv":"Ed25519","kid":"{}","use":"sig","x":"{}"}})", kid,
                     to_base64url(x));
}

std::string TestSigner::public_pem() const {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  SLUICE_CHECK(PEM_write_bio_PUBKEY(bio.get(), impl_->key.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace sluice::crypto::testing
