#include <sluice/crypto/jwt.h>

#include <format>
#include <string>
#include <vector>

#include <sluice/base/encoding.h>
#include <sluice/crypto/hash.h>
#include <sluice/crypto/testing/test_signer.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::crypto {
namespace {

using testing::TestSigner;

constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};
constexpr std::string_view kGoodClaims =
    R"("iss":"https://id.example","aud":"sluice","sub":"alice","exp":1800000600)";

const JwtPolicy kPolicy{.issuer = "https://id.example", .audience = "sluice"};

std::string object(std::string_view members) { return std::format("{{{}}}", members); }
std::string good_payload() { return object(kGoodClaims); }
std::string good_payload_and(std::string_view members) {
  return std::format("{{{},{}}}", kGoodClaims, members);
}

/// One signer of each kind and the set of their keys, made once: RSA keys take long.
struct Keys {
  TestSigner rsa = TestSigner::rsa();
  TestSigner p256 = TestSigner::p256();
  TestSigner ed25519 = TestSigner::ed25519();
  JwkSet set = *JwkSet::parse(std::format(R"({{"keys":[{},{},{}]}})", rsa.jwk("rsa"),
                                          p256.jwk("p256"), ed25519.jwk("ed25519")));
};

const Keys& keys() {
  static const Keys instance;
  return instance;
}

/// Why a token is refused; "accepted" when it is not.
std::string verdict(std::string_view token, WallTime now = kNow) {
  const auto claims = verify_jwt(token, keys().set, kPolicy, now);
  if (claims) return "accepted";
  EXPECT_EQ(claims.error().code(), ErrorCode::kUnauthenticated);
  return claims.error().reason();
}

/// The verdict on a token that is right in all but its payload.
std::string payload_verdict(std::string_view payload, WallTime now = kNow) {
  return verdict(keys().p256.sign_with_kid("p256", payload), now);
}

/// The verdict on a token that is right in all but its header.
std::string header_verdict(std::string_view header) {
  return verdict(keys().p256.sign(header, good_payload()));
}

TEST(Jwt, AcceptsEachAlgorithm) {
  EXPECT_EQ(verdict(keys().rsa.sign_with_kid("rsa", good_payload())), "accepted");
  EXPECT_EQ(verdict(keys().p256.sign_with_kid("p256", good_payload())), "accepted");
  EXPECT_EQ(verdict(keys().ed25519.sign_with_kid("ed25519", good_payload())), "accepted");
}

TEST(Jwt, GivesTheClaims) {
  const auto claims = verify_jwt(
      keys().p256.sign_with_kid(
          "p256",
          good_payload_and(
              R"("tenant":"acme","scope":"read  write","a":{"b":["x",1,"y"]},"a.b":["exact"],"c":{"d":"e"},"n":7)")),
      keys().set, kPolicy, kNow);
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->subject(), "alice");
  EXPECT_EQ(claims->expires(), WallTime(std::chrono::seconds(1'800'000'600)));
  EXPECT_EQ(claims->text("tenant"), "acme");
  EXPECT_EQ(claims->text("c.d"), "e");
  EXPECT_EQ(claims->text("n"), std::nullopt);
  EXPECT_EQ(claims->text("absent"), std::nullopt);
  EXPECT_EQ(claims->text("c.d.e"), std::nullopt);
  EXPECT_THAT(claims->texts("scope"), ::testing::ElementsAre("read", "write"));
  EXPECT_THAT(claims->texts("a.b"), ::testing::ElementsAre("exact"));
  EXPECT_THAT(claims->texts("n"), ::testing::IsEmpty());
}

TEST(Jwt, TakesAListOfAudiences) {
  EXPECT_EQ(payload_verdict(
                R"({"iss":"https://id.example","aud":["x","sluice"],"sub":"a","exp":1800000600})"),
            "accepted");
  EXPECT_EQ(
      payload_verdict(
          R"({"iss":"https://id.example","aud":["x",["sluice"]],"sub":"a","exp":1800000600})"),
      "jwt_audience");
}

TEST(Jwt, RefusesAlgorithmNone) {
  const std::string payload = to_base64url(good_payload());
  for (const char* alg : {"none", "None", "NONE", "nOnE", ""}) {
    const std::string header = to_base64url(std::format(R"({{"alg":"{}","kid":"p256"}})", alg));
    EXPECT_EQ(verdict(header + "." + payload + "."), "jwt_algorithm") << alg;
  }
  EXPECT_EQ(header_verdict(R"({"kid":"p256"})"), "jwt_algorithm");
  EXPECT_EQ(header_verdict(R"({"alg":["ES256"],"kid":"p256"})"), "jwt_algorithm");
}

TEST(Jwt, RefusesHmacWithAPublicKeyAsSecret) {
  // Whoever takes the algorithm from the token checks this with the public key as the shared
  // secret.
  for (const auto& [kid, secret] :
       {std::pair("rsa", keys().rsa.public_pem()), std::pair("p256", keys().p256.jwk("p256"))}) {
    const std::string text = to_base64url(std::format(R"({{"alg":"HS256","kid":"{}"}})", kid)) +
                             "." + to_base64url(good_payload());
    EXPECT_EQ(verdict(text + "." + to_base64url(hmac_sha256(secret, text))), "jwt_algorithm");
  }
}

TEST(Jwt, RefusesAnAlgorithmThatIsNotTheKeys) {
  EXPECT_EQ(verdict(keys().rsa.sign(R"({"alg":"RS512","kid":"rsa"})", good_payload())),
            "jwt_algorithm");
  EXPECT_EQ(verdict(keys().rsa.sign(R"({"alg":"PS256","kid":"rsa"})", good_payload())),
            "jwt_algorithm");
  EXPECT_EQ(verdict(keys().rsa.sign(R"({"alg":"RS256","kid":"p256"})", good_payload())),
            "jwt_algorithm");
  EXPECT_EQ(header_verdict(R"({"alg":"es256","kid":"p256"})"), "jwt_algorithm");
}

TEST(Jwt, RefusesAForeignSignature) {
  const TestSigner stranger = TestSigner::p256();
  EXPECT_EQ(verdict(stranger.sign_with_kid("p256", good_payload())), "jwt_signature");
}

TEST(Jwt, RefusesAChangedToken) {
  for (const auto* signer : {&keys().rsa, &keys().p256, &keys().ed25519}) {
    const std::string kid = signer == &keys().rsa    ? "rsa"
                            : signer == &keys().p256 ? "p256"
                                                     : "ed25519";
    const std::string token = signer->sign_with_kid(kid, good_payload());
    const std::string header = token.substr(0, token.find('.'));
    const std::string signature = token.substr(token.rfind('.'));
    const std::string other = to_base64url(
        R"({"iss":"https://id.example","aud":"sluice","sub":"mallory","exp":1800000600})");
    EXPECT_EQ(verdict(header + "." + other + signature), "jwt_signature") << kid;
    EXPECT_EQ(verdict(token.substr(0, token.rfind('.') + 1)), "jwt_signature") << kid;
  }
}

TEST(Jwt, RefusesEs256InDer) {
  const std::string header = to_base64url(R"({"alg":"ES256","kid":"p256"})");
  const std::string text = header + "." + to_base64url(good_payload());
  const std::string raw = keys().p256.signature(text);
  ASSERT_EQ(raw.size(), 64U);
  ASSERT_EQ(verdict(text + "." + to_base64url(raw)), "accepted");
  const auto integer = [](std::string bytes) {
    while (bytes.size() > 1 && bytes[0] == 0 && static_cast<unsigned char>(bytes[1]) < 0x80)
      bytes.erase(0, 1);
    if (static_cast<unsigned char>(bytes[0]) >= 0x80) bytes.insert(0, 1, '\0');
    return "\x02" + std::string(1, static_cast<char>(bytes.size())) + bytes;
  };
  const std::string numbers = integer(raw.substr(0, 32)) + integer(raw.substr(32));
  const std::string der = "\x30" + std::string(1, static_cast<char>(numbers.size())) + numbers;
  EXPECT_EQ(verdict(text + "." + to_base64url(der)), "jwt_signature");
  EXPECT_EQ(verdict(text + "." + to_base64url(std::string(64, '\0'))), "jwt_signature");
  EXPECT_EQ(verdict(text + "." + to_base64url(raw + '\0')), "jwt_signature");
}

TEST(Jwt, RefusesKeyIdTricks) {
  for (const char* kid : {"other", "", "P256", "p256 ", "../p256", "' OR 1=1 --"}) {
    EXPECT_EQ(header_verdict(std::format(R"({{"alg":"ES256","kid":"{}"}})", kid)),
              "jwt_unknown_key")
        << kid;
  }
  EXPECT_EQ(header_verdict(R"({"alg":"ES256","kid":"p256\u0000"})"), "jwt_malformed");
  EXPECT_EQ(header_verdict(R"({"alg":"ES256"})"), "jwt_unknown_key");
  EXPECT_EQ(header_verdict(R"({"alg":"ES256","kid":["p256"]})"), "jwt_unknown_key");
  EXPECT_EQ(header_verdict(R"({"alg":"ES256","kid":null})"), "jwt_unknown_key");
}

TEST(Jwt, NeverUsesAKeyThatTheTokenBrings) {
  const TestSigner stranger = TestSigner::p256();
  const std::string header = std::format(
      R"({{"alg":"ES256","jwk":{},"jku":"https://evil.example/keys","x5u":"https://evil.example/c"}})",
      stranger.jwk("x"));
  EXPECT_EQ(verdict(stranger.sign(header, good_payload())), "jwt_unknown_key");
  const std::string known = header.substr(0, header.size() - 1) + R"(,"kid":"p256"})";
  EXPECT_EQ(verdict(stranger.sign(known, good_payload())), "jwt_signature");
}

TEST(Jwt, RefusesHeadersThatItDoesNotUnderstand) {
  EXPECT_EQ(header_verdict(R"({"alg":"ES256","kid":"p256","crit":["exp"]})"), "jwt_malformed");
  EXPECT_EQ(header_verdict(R"({"alg":"ES256","kid":"p256","b64":false})"), "jwt_malformed");
  EXPECT_EQ(header_verdict(R"({"alg":"ES256","kid":"p256","typ":"logout+jwt"})"), "jwt_malformed");
  EXPECT_EQ(header_verdict(R"({"alg":"ES256","kid":"p256","typ":7})"), "jwt_malformed");
  EXPECT_EQ(header_verdict(R"({"alg":"ES256","kid":"p256","typ":"at+JWT"})"), "accepted");
}

TEST(Jwt, RefusesNamesThatStandTwice) {
  EXPECT_EQ(header_verdict(R"({"alg":"none","alg":"ES256","kid":"p256"})"), "jwt_malformed");
  EXPECT_EQ(header_verdict(R"({"alg":"ES256","kid":"other","kid":"p256"})"), "jwt_malformed");
  EXPECT_EQ(payload_verdict(good_payload_and(R"("sub":"mallory")")), "jwt_malformed");
  EXPECT_EQ(payload_verdict(good_payload_and(R"("s\u0075b":"mallory")")), "jwt_malformed");
  EXPECT_EQ(payload_verdict(good_payload_and(R"("x":{"a":1,"a":2})")), "jwt_malformed");
}

TEST(Jwt, RefusesOtherIssuers) {
  EXPECT_EQ(
      payload_verdict(R"({"iss":"https://id.example/","aud":"sluice","sub":"a","exp":1800000600})"),
      "jwt_issuer");
  EXPECT_EQ(payload_verdict(R"({"aud":"sluice","sub":"a","exp":1800000600})"), "jwt_issuer");
  EXPECT_EQ(payload_verdict(
                R"({"iss":["https://id.example"],"aud":"sluice","sub":"a","exp":1800000600})"),
            "jwt_issuer");
}

TEST(Jwt, RefusesOtherAudiences) {
  EXPECT_EQ(
      payload_verdict(R"({"iss":"https://id.example","aud":"sluice2","sub":"a","exp":1800000600})"),
      "jwt_audience");
  EXPECT_EQ(payload_verdict(R"({"iss":"https://id.example","aud":[],"sub":"a","exp":1800000600})"),
            "jwt_audience");
  EXPECT_EQ(payload_verdict(
                R"({"iss":"https://id.example","aud":{"sluice":1},"sub":"a","exp":1800000600})"),
            "jwt_audience");
  EXPECT_EQ(payload_verdict(R"({"iss":"https://id.example","sub":"a","exp":1800000600})"),
            "jwt_audience");
}

TEST(Jwt, RefusesEverythingUnderAnEmptyPolicy) {
  const std::string token =
      keys().p256.sign_with_kid("p256", R"({"iss":"","aud":"","sub":"a","exp":1800000600})");
  EXPECT_FALSE(verify_jwt(token, keys().set, JwtPolicy{.issuer = "", .audience = ""}, kNow));
  EXPECT_FALSE(verify_jwt(token, keys().set, JwtPolicy{.issuer = "", .audience = "sluice"}, kNow));
}

std::string with_times(std::string_view times) {
  return std::format(R"({{"iss":"https://id.example","aud":"sluice","sub":"a",{}}})", times);
}

TEST(Jwt, RefusesExpiredTokensToTheMillisecond) {
  const std::string token = keys().p256.sign_with_kid("p256", with_times(R"("exp":1800000000)"));
  const WallTime end = kNow + kPolicy.leeway;
  EXPECT_EQ(verdict(token, end - std::chrono::milliseconds(1)), "accepted");
  EXPECT_EQ(verdict(token, end), "jwt_expired");
}

TEST(Jwt, RefusesTokensThatAreNotValidYet) {
  EXPECT_EQ(payload_verdict(with_times(R"("exp":1800000600,"nbf":1800000030)")), "accepted");
  EXPECT_EQ(payload_verdict(with_times(R"("exp":1800000600,"nbf":1800000031)")),
            "jwt_not_yet_valid");
  EXPECT_EQ(payload_verdict(with_times(R"("exp":1800000600,"iat":1800000031)")),
            "jwt_not_yet_valid");
}

TEST(Jwt, RefusesTimesThatAreNone) {
  for (const char* times :
       {R"("exp":"1800000600")", R"("exp":null)", R"("exp":true)", R"("exp":-1)", R"("exp":1e300)",
        R"("exp":99999999999999999999)", R"("x":1)", R"("exp":1800000600,"nbf":"0")",
        R"("exp":1800000600,"iat":[])"}) {
    EXPECT_EQ(payload_verdict(with_times(times)), "jwt_malformed") << times;
  }
  EXPECT_EQ(payload_verdict(with_times(R"("exp":1800000600.5)")), "accepted");
}

TEST(Jwt, RefusesTokensOfNobody) {
  constexpr std::string_view kRest =
      R"("iss":"https://id.example","aud":"sluice","exp":1800000600)";
  for (const std::string& sub :
       {std::string(R"("x":1)"), std::string(R"("sub":"")"), std::string(R"("sub":7)"),
        std::format(R"("sub":"{}")", std::string(257, 'x'))}) {
    EXPECT_EQ(payload_verdict(std::format("{{{},{}}}", kRest, sub)), "jwt_subject") << sub;
  }
}

TEST(Jwt, RefusesWhatIsNoToken) {
  const std::string good = keys().p256.sign_with_kid("p256", good_payload());
  ASSERT_EQ(verdict(good), "accepted");
  const std::string header = good.substr(0, good.find('.'));
  for (const std::string& text :
       {std::string(), std::string("."), std::string(".."), std::string("..."), std::string("a.b"),
        good + ".", "." + good, good + "=", " " + good, good + "\n", header + ".!!!.aaaa",
        good.substr(1), header + "." + header}) {
    EXPECT_EQ(verdict(text), "jwt_malformed") << text;
  }
}

TEST(Jwt, RefusesPayloadsThatAreNoStrictJson) {
  for (const std::string& payload :
       {std::string("[]"), std::string("7"), std::string(""), good_payload() + "x",
        good_payload() + good_payload(), "\xEF\xBB\xBF[" + good_payload() + "]",
        good_payload_and("\"x\":\"\xFF\""),
        good_payload_and(std::format("\"x\":{}{}", std::string(17, '['), std::string(17, ']')))}) {
    EXPECT_EQ(payload_verdict(payload), "jwt_malformed") << payload;
  }
}

TEST(Jwt, RefusesLargeTokensBeforeReadingThem) {
  const std::string payload =
      good_payload_and(std::format(R"("x":"{}")", std::string(kMaxJwtSize, 'x')));
  EXPECT_EQ(payload_verdict(payload), "jwt_malformed");
}

TEST(Jwt, NeverQuotesTheTokenInErrors) {
  for (const std::string& token :
       {std::string("canary.canary.canary"), keys().p256.sign_with_kid("canary", good_payload())}) {
    const auto claims = verify_jwt(token, keys().set, kPolicy, kNow);
    ASSERT_FALSE(claims);
    EXPECT_THAT(claims.error().message(), ::testing::Not(::testing::HasSubstr("canary")));
  }
}

TEST(Jwt, TakesAKnownKeyWithoutKeyId) {
  const auto key = PublicKey::from_pem(keys().ed25519.public_pem());
  ASSERT_TRUE(key);
  EXPECT_TRUE(
      verify_jwt(keys().ed25519.sign(R"({"alg":"EdDSA"})", good_payload()), *key, kPolicy, kNow));
  EXPECT_FALSE(
      verify_jwt(keys().p256.sign(R"({"alg":"ES256"})", good_payload()), *key, kPolicy, kNow));
}

TEST(Jwt, ReadsTheUnverifiedKeyId) {
  EXPECT_EQ(unverified_kid(keys().p256.sign_with_kid("p256", good_payload())), "p256");
  EXPECT_EQ(unverified_kid(keys().p256.sign(R"({"alg":"ES256"})", good_payload())), std::nullopt);
  EXPECT_EQ(unverified_kid("no.token"), std::nullopt);
}

}  // namespace
}  // namespace sluice::crypto
