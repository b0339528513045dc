#include <sluice/crypto/jwk.h>

#include "openssl.h"

#include <algorithm>
#include <format>
#include <optional>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/base/encoding.h>
#include <sluice/json/json.h>

#include <nlohmann/json.hpp>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

namespace sluice::crypto {

struct PublicKey::Impl {
  KeyPtr key;
  SignatureAlgorithm algorithm;
};

namespace {

/// Real ones have three.
constexpr std::size_t kMaxJsonLevels = 16;

using Json = nlohmann::json;

constexpr int kMinRsaBits = 2048;  // below it RSA is no longer held to be safe (NIST SP 800-131A)
constexpr int kMaxRsaBits = 8192;  // checking a larger one costs more than a request is worth
constexpr std::size_t kMaxRsaExponentSize = 4;
constexpr std::size_t kP256CoordinateSize = 32;
constexpr std::size_t kEd25519Size = 32;
constexpr std::size_t kMaxKidSize = 256;
constexpr std::size_t kMaxJwksSize = 256 * 1024;
constexpr std::size_t kMaxPemSize = 64 * 1024;

std::unexpected<Error> refuse(std::string what) {
  return fail(ErrorCode::kInvalidArgument, std::move(what));
}

std::optional<std::string> text_member(const Json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end() || !member->is_string()) return std::nullopt;
  return member->get<std::string>();
}

std::optional<std::string> bytes_member(const Json& object, const char* name) {
  const auto text = text_member(object, name);
  return text ? from_base64url(*text) : std::nullopt;
}

/// Which algorithm a key is for; only types, sizes and curves we accept have one.
Result<SignatureAlgorithm> algorithm_of(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA")) {
    const int bits = EVP_PKEY_get_bits(key);
    if (bits < kMinRsaBits || bits > kMaxRsaBits) {
      return refuse(std::format("RSA key of {} bits; from {} to {} are accepted", bits, kMinRsaBits,
                                kMaxRsaBits));
    }
    return SignatureAlgorithm::kRs256;
  }
  if (EVP_PKEY_is_a(key, "ED25519")) return SignatureAlgorithm::kEdDsa;
  if (EVP_PKEY_is_a(key, "EC")) {
    std::string group(64, '\0');
    std::size_t size = 0;
    if (EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) == 1 &&
        std::string_view(group).substr(0, size) == "prime256v1") {
      return SignatureAlgorithm::kEs256;
    }
    return refuse("elliptic curve other than P-256");
  }
  return refuse("key of a type that is not RSA, EC or Ed25519");
}

KeyPtr key_from_parameters(const char* type, OSSL_PARAM* parameters) {
  KeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  return KeyPtr(key);
}

BignumPtr number_of(const std::string& bytes) {
  return BignumPtr(
      BN_bin2bn(bytes_of(std::string_view(bytes)), static_cast<int>(bytes.size()), nullptr));
}

Result<KeyPtr> rsa_key(const Json& jwk) {
  const auto modulus = bytes_member(jwk, "n");
  const auto exponent = bytes_member(jwk, "e");
  if (!modulus || !exponent) return refuse("RSA key without n or e");
  // Sizes before the arithmetic: OpenSSL's own bounds are far wider.
  if (modulus->size() > kMaxRsaBits / 8 || exponent->empty() ||
      exponent->size() > kMaxRsaExponentSize) {
    return refuse("RSA key with an n or e that is too large");
  }
  const BignumPtr n = number_of(*modulus);
  const BignumPtr e = number_of(*exponent);
  if (!BN_is_odd(n.get()) || !BN_is_odd(e.get()) || BN_is_one(e.get())) {
    return refuse("RSA key whose n or e no honest generator makes");
  }
  ParamBuilderPtr builder(OSSL_PARAM_BLD_new());
  SLUICE_CHECK(builder && OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) &&
               OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()));
  const ParamsPtr parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  KeyPtr key = key_from_parameters("RSA", parameters.get());
  if (!key) return refuse("RSA key that cannot be read");
  return key;
}

Result<KeyPtr> p256_key(const Json& jwk) {
  const auto x = bytes_member(jwk, "x");
  const auto y = bytes_member(jwk, "y");
  if (!x || !y || x->size() != kP256CoordinateSize || y->size() != kP256CoordinateSize) {
    return refuse("P-256 key whose x and y are not 32 bytes each");
  }
  const std::string point = '\x04' + *x + *y;  // SEC 1: uncompressed
  ParamBuilderPtr builder(OSSL_PARAM_BLD_new());
  SLUICE_CHECK(
      builder &&
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()));
  const ParamsPtr parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  KeyPtr key = key_from_parameters("EC", parameters.get());
  if (!key) return refuse("P-256 key whose point is not on the curve");
  return key;
}

Result<KeyPtr> ed25519_key(const Json& jwk) {
  const auto x = bytes_member(jwk, "x");
  if (!x || x->size() != kEd25519Size) return refuse("Ed25519 key whose x is not 32 bytes");
  KeyPtr key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(std::string_view(*x)),
                                         x->size()));
  if (!key) {
    ERR_clear_error();
    return refuse("Ed25519 key that cannot be read");
  }
  return key;
}

/// What the key says about its own use must agree with ours.
Result<> check_use(const Json& jwk, SignatureAlgorithm algorithm) {
  if (jwk.contains("d")) return refuse("a private key, which nobody should publish");
  if (jwk.contains("use") && text_member(jwk, "use") != "sig") {
    return refuse("key that is not for signatures");
  }
  if (jwk.contains("alg") && text_member(jwk, "alg") != to_string(algorithm)) {
    return refuse("key for another algorithm");
  }
  if (const auto operations = jwk.find("key_ops"); operations != jwk.end()) {
    if (!operations->is_array() || !std::ranges::contains(*operations, Json("verify"))) {
      return refuse("key that is not for verifying");
    }
  }
  return {};
}

Result<KeyPtr> key_of(const Json& jwk) {
  const auto type = text_member(jwk, "kty");
  const auto curve = text_member(jwk, "crv");
  if (type == "RSA") return rsa_key(jwk);
  if (type == "EC" && curve == "P-256") return p256_key(jwk);
  if (type == "OKP" && curve == "Ed25519") return ed25519_key(jwk);
  return refuse("key of a type or curve that is not RSA, P-256 or Ed25519");
}

/// ES256 in JWS is r and s side by side; OpenSSL wants them as DER.
std::optional<std::string> der_from_jws(std::string_view signature) {
  if (signature.size() != 2 * kP256CoordinateSize) return std::nullopt;
  EcdsaSignaturePtr parts(ECDSA_SIG_new());
  BignumPtr r = number_of(std::string(signature.substr(0, kP256CoordinateSize)));
  BignumPtr s = number_of(std::string(signature.substr(kP256CoordinateSize)));
  SLUICE_CHECK(parts && ECDSA_SIG_set0(parts.get(), r.release(), s.release()) == 1);
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(parts.get(), &der);
  SLUICE_CHECK(size > 0);
  std::string out(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return out;
}

}  // namespace

std::string_view to_string(SignatureAlgorithm algorithm) {
  switch (algorithm) {
    case SignatureAlgorithm::kRs256:
      return "RS256";
    case SignatureAlgorithm::kEs256:
      return "ES256";
    case SignatureAlgorithm::kEdDsa:
      return "EdDSA";
  }
  return "";
}

Result<PublicKey> PublicKey::from_pem(std::string_view pem) {
  if (pem.size() > kMaxPemSize) return refuse("public key: more than 64 KiB");
  KeyPtr key(PEM_read_bio_PUBKEY(reader_of(pem).get(), nullptr, nullptr, nullptr));
  if (!key) return refuse("public key: " + take_openssl_error());
  SLUICE_TRY_ASSIGN(const auto algorithm, algorithm_of(key.get()));
  return PublicKey(std::make_shared<const Impl>(std::move(key), algorithm));
}

Result<PublicKey> PublicKey::from_jwk(std::string_view json) {
  if (json.size() > kMaxJwksSize) return refuse("JSON Web Key: too large");
  const auto jwk = parse_json_object(json, kMaxJsonLevels);
  if (!jwk) return refuse("JSON Web Key: not a JSON object");
  auto key = key_of(*jwk);
  if (!key) return fail(std::move(key).error().context("JSON Web Key"));
  SLUICE_TRY_ASSIGN(const auto algorithm, algorithm_of(key->get()));
  if (auto use = check_use(*jwk, algorithm); !use) {
    return fail(std::move(use).error().context("JSON Web Key"));
  }
  return PublicKey(std::make_shared<const Impl>(*std::move(key), algorithm));
}

SignatureAlgorithm PublicKey::algorithm() const { return impl_->algorithm; }

bool PublicKey::verify(std::string_view message, std::string_view signature) const {
  std::string der;
  if (impl_->algorithm == SignatureAlgorithm::kEs256) {
    auto converted = der_from_jws(signature);
    if (!converted) return false;
    der = *std::move(converted);
    signature = der;
  }
  const EVP_MD* digest = impl_->algorithm == SignatureAlgorithm::kEdDsa ? nullptr : EVP_sha256();
  DigestContextPtr context(EVP_MD_CTX_new());
  SLUICE_CHECK(context != nullptr);
  // RSA's padding is PKCS #1 v1.5 unless told otherwise, which is what RS256 means.
  const bool is_good =
      EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, impl_->key.get()) == 1 &&
      EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message),
                       message.size()) == 1;
  if (!is_good) ERR_clear_error();
  return is_good;
}

JwkSet::JwkSet(std::vector<Entry> keys, std::size_t skipped)
    : keys_(std::move(keys)), skipped_(skipped) {}

Result<JwkSet> JwkSet::parse(std::string_view json) {
  if (json.size() > kMaxJwksSize) return refuse("JSON Web Key Set: more than 256 KiB");
  const auto set = parse_json_object(json, kMaxJsonLevels);
  if (!set) return refuse("JSON Web Key Set: not a JSON object");
  const auto members = set->find("keys");
  if (members == set->end() || !members->is_array()) {
    return refuse("JSON Web Key Set: has no array 'keys'");
  }
  if (members->size() > kMaxJwks) return refuse("JSON Web Key Set: more than 100 keys");

  std::vector<Entry> keys;
  std::size_t skipped = 0;
  for (const Json& member : *members) {
    auto kid = member.is_object() ? text_member(member, "kid") : std::nullopt;
    auto key = kid && !kid->empty() && kid->size() <= kMaxKidSize
                   ? PublicKey::from_jwk(member.dump())
                   : Result<PublicKey>(refuse("no kid"));
    if (!key) {
      ++skipped;
      continue;
    }
    if (std::ranges::contains(keys, *kid, &Entry::kid)) {
      return refuse("JSON Web Key Set: two keys with one kid");
    }
    keys.push_back({*std::move(kid), *std::move(key)});
  }
  if (keys.empty()) return refuse("JSON Web Key Set: no key in it can be used");
  return JwkSet(std::move(keys), skipped);
}

const PublicKey* JwkSet::find(std::string_view kid) const {
  const auto entry = std::ranges::find(keys_, kid, &Entry::kid);
  return entry == keys_.end() ? nullptr : &entry->key;
}

}  // namespace sluice::crypto
