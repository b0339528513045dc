#include <sluice/crypto/jwk.h>

#include <format>
#include <string>

#include <sluice/base/encoding.h>
#include <sluice/crypto/testing/test_signer.h>

#include <gtest/gtest.h>

namespace sluice::crypto {
namespace {

using testing::TestSigner;

std::string set_of(std::string_view keys) { return std::format(R"({{"keys":[{}]}})", keys); }

/// The key with one member put in front of the others.
std::string with_member(std::string jwk, std::string_view member) {
  return "{" + std::string(member) + "," + jwk.substr(1);
}

TEST(PublicKey, ReadsEachKindFromJwkAndPem) {
  for (const TestSigner& signer : {TestSigner::rsa(), TestSigner::p256(), TestSigner::ed25519()}) {
    for (const auto& key :
         {PublicKey::from_jwk(signer.jwk("k")), PublicKey::from_pem(signer.public_pem())}) {
      ASSERT_TRUE(key) << signer.alg();
      EXPECT_EQ(to_string(key->algorithm()), signer.alg());
      EXPECT_TRUE(key->verify("message", signer.signature("message")));
      EXPECT_FALSE(key->verify("another", signer.signature("message")));
      EXPECT_FALSE(key->verify("message", ""));
    }
  }
}

TEST(PublicKey, RefusesWeakRsaKeys) {
  const TestSigner weak = TestSigner::rsa(1024);
  EXPECT_FALSE(PublicKey::from_jwk(weak.jwk("k")));
  EXPECT_FALSE(PublicKey::from_pem(weak.public_pem()));
}

TEST(PublicKey, RefusesRsaNumbersThatNoHonestGeneratorMakes) {
  const auto jwk = [](std::string_view n, std::string_view e) {
    return std::format(R"({{"kty":"RSA","n":"{}","e":"{}"}})", to_base64url(n), to_base64url(e));
  };
  const std::string odd(256, '\xFF');
  const std::string even = std::string(255, '\xFF') + '\xFE';
  const std::string e = "\x01\x00\x01";
  const std::string e65537("\x01\x00\x01", 3);
  EXPECT_TRUE(PublicKey::from_jwk(jwk(odd, e65537)));
  EXPECT_FALSE(PublicKey::from_jwk(jwk(even, e65537)));
  EXPECT_FALSE(PublicKey::from_jwk(jwk(odd, "\x01")));
  EXPECT_FALSE(PublicKey::from_jwk(jwk(odd, "\x02")));
  EXPECT_FALSE(PublicKey::from_jwk(jwk(odd, "")));
  EXPECT_FALSE(PublicKey::from_jwk(jwk(odd, std::string(5, '\x01'))));
  EXPECT_FALSE(PublicKey::from_jwk(jwk(std::string(1025, '\xFF'), e65537)));
  EXPECT_FALSE(PublicKey::from_jwk(jwk("", e65537)));
}

TEST(PublicKey, RefusesPointsOffTheCurve) {
  const auto jwk = [](std::string_view x, std::string_view y) {
    return std::format(R"({{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}})", to_base64url(x),
                       to_base64url(y));
  };
  EXPECT_FALSE(PublicKey::from_jwk(jwk(std::string(32, '\x01'), std::string(32, '\x02'))));
  EXPECT_FALSE(PublicKey::from_jwk(jwk(std::string(32, '\0'), std::string(32, '\0'))));
  EXPECT_FALSE(PublicKey::from_jwk(jwk(std::string(31, '\x01'), std::string(32, '\x02'))));
}

TEST(PublicKey, RefusesOtherTypesAndCurves) {
  for (const char* jwk :
       {R"({"kty":"oct","k":"AAAA"})", R"({"kty":"EC","crv":"P-384","x":"AA","y":"AA"})",
        R"({"kty":"OKP","crv":"X25519","x":"AA"})", R"({"kty":"OKP","crv":"Ed25519","x":"AA"})",
        R"({"kty":"rsa"})", R"({"kty":["RSA"]})", "{}", "[]", "", "null", "{\"kty\":\"RSA\""}) {
    EXPECT_FALSE(PublicKey::from_jwk(jwk)) << jwk;
  }
}

TEST(PublicKey, RefusesKeysThatAreForSomethingElse) {
  const std::string good = TestSigner::ed25519().jwk("k");
  const std::string bare = R"({"kty":"OKP")" + good.substr(good.find(R"(,"crv")"));
  std::string without_use = bare;
  without_use.erase(without_use.find(R"("use":"sig",)"),
                    std::string_view(R"("use":"sig",)").size());
  ASSERT_TRUE(PublicKey::from_jwk(without_use));
  EXPECT_TRUE(PublicKey::from_jwk(with_member(without_use, R"("key_ops":["verify"])")));
  for (const char* member : {R"("use":"enc")", R"("use":1)", R"("alg":"HS256")", R"("alg":"RS256")",
                             R"("key_ops":["encrypt"])", R"("key_ops":"verify")", R"("d":"AAAA")",
                             R"("d":null)", R"("kty":"OKP")"}) {
    EXPECT_FALSE(PublicKey::from_jwk(with_member(without_use, member))) << member;
  }
}

TEST(PublicKey, RefusesPemThatIsNoPublicKey) {
  for (const char* pem : {"", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
                          "-----BEGIN PUBLIC KEY-----\n"}) {
    EXPECT_FALSE(PublicKey::from_pem(pem)) << pem;
  }
  EXPECT_FALSE(PublicKey::from_pem(std::string(100'000, 'x')));
}

TEST(JwkSet, FindsKeysByKid) {
  const auto set =
      JwkSet::parse(set_of(TestSigner::p256().jwk("a") + "," + TestSigner::ed25519().jwk("b")));
  ASSERT_TRUE(set);
  EXPECT_EQ(set->size(), 2U);
  ASSERT_NE(set->find("a"), nullptr);
  EXPECT_EQ(set->find("a")->algorithm(), SignatureAlgorithm::kEs256);
  EXPECT_EQ(set->find("c"), nullptr);
  EXPECT_EQ(set->find(""), nullptr);
}

TEST(JwkSet, PassesOverKeysThatAreNotForUs) {
  const auto set =
      JwkSet::parse(set_of(R"({"kty":"oct","kid":"s","k":"AAAA"},7,null,{"kty":"RSA"},)" +
                           TestSigner::p256().jwk("") + "," + TestSigner::p256().jwk("good")));
  ASSERT_TRUE(set);
  EXPECT_EQ(set->size(), 1U);
  EXPECT_EQ(set->skipped(), 5U);
}

TEST(JwkSet, RefusesSetsWithoutAUsableKey) {
  for (const char* text : {"", "{}", "[]", R"({"keys":{}})", R"({"keys":[]})",
                           R"({"keys":[{"kty":"oct","kid":"a","k":"AA"}]})"}) {
    EXPECT_FALSE(JwkSet::parse(text)) << text;
  }
}

TEST(JwkSet, RefusesTwoKeysWithOneKid) {
  EXPECT_FALSE(
      JwkSet::parse(set_of(TestSigner::p256().jwk("a") + "," + TestSigner::p256().jwk("a"))));
}

TEST(JwkSet, RefusesTooManyKeysAndTooMuchText) {
  std::string keys = TestSigner::p256().jwk("a");
  for (std::size_t i = 0; i < kMaxJwks; ++i) keys += ",0";
  EXPECT_FALSE(JwkSet::parse(set_of(keys)));
  EXPECT_FALSE(JwkSet::parse(set_of(TestSigner::p256().jwk("a")) + std::string(300'000, ' ')));
}

}  // namespace
}  // namespace sluice::crypto
