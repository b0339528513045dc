#include <sluice/crypto/token.h>

#include <set>
#include <string>

#include <sluice/base/encoding.h>
#include <sluice/crypto/hash.h>
#include <sluice/testing/sim_random.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::crypto {
namespace {

using sluice::testing::SimRandom;

TEST(Hash, IsSha256) {
  // FIPS 180-4 examples, RFC 4231 test case 2.
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Hash, TakesAnEmptyHmacKey) {
  hmac_sha256("some key that must not be remembered", "x");
  EXPECT_EQ(to_hex(hmac_sha256({}, {})),
            "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(Hash, WipesTheWholeText) {
  std::string text = "secret";
  wipe(text);
  EXPECT_TRUE(text.empty());
}

TEST(Token, IsReadBackAsMinted) {
  SimRandom random(1);
  const Token token = Token::mint(random);
  const Secret text = token.text(kApiKeyPrefix);
  EXPECT_THAT(text.reveal(), ::testing::MatchesRegex("slk_[A-Za-z0-9]{12}_[A-Za-z0-9_-]{43}"));
  const auto back = Token::parse(kApiKeyPrefix, text.reveal());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->id, token.id);
  EXPECT_EQ(back->secret.reveal(), token.secret.reveal());
}

TEST(Token, IsNewEachTime) {
  SimRandom random(2);
  std::set<std::string> ids;
  std::set<std::string> secrets;
  for (int i = 0; i < 1000; ++i) {
    const Token token = Token::mint(random);
    ids.insert(token.id);
    secrets.insert(token.secret.reveal());
  }
  EXPECT_EQ(ids.size(), 1000U);
  EXPECT_EQ(secrets.size(), 1000U);
}

TEST(Token, IsReadStrictly) {
  SimRandom random(3);
  const std::string good = Token::mint(random).text(kApiKeyPrefix).reveal();
  ASSERT_TRUE(Token::parse(kApiKeyPrefix, good));
  EXPECT_FALSE(Token::parse(kDeviceTokenPrefix, good));
  std::string no_separator = good;
  no_separator[3] = '-';
  std::string no_second_separator = good;
  no_second_separator[16] = '-';
  std::string id_digit = good;
  id_digit[5] = '-';
  std::string secret_digit = good;
  secret_digit[30] = '+';
  // 43 digits are 258 bits: the last two must be zero, or one secret would have four spellings.
  std::string not_canonical = good;
  not_canonical.back() = 'B';
  for (const std::string& text :
       {std::string(), good + " ", " " + good, good + "=", good.substr(0, good.size() - 1),
        good + "A", no_separator, no_second_separator, id_digit, secret_digit, not_canonical,
        std::string(good.size(), '\0')}) {
    const auto parsed = Token::parse(kApiKeyPrefix, text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), ErrorCode::kUnauthenticated);
    if (text.size() > 20) {
      EXPECT_EQ(parsed.error().message().find(text.substr(20)), std::string::npos);
    }
  }
}

TEST(SaltedHash, MatchesItsSecretAlone) {
  SimRandom random(4);
  const auto hash = SaltedHash::of("secret", random);
  EXPECT_TRUE(hash.matches("secret"));
  for (const char* other : {"", "Secret", "secret ", "secre"})
    EXPECT_FALSE(hash.matches(other)) << other;
  EXPECT_EQ(hash.hash, sha256(hash.salt + "secret"));
}

TEST(SaltedHash, SaltsEachTime) {
  SimRandom random(5);
  const auto one = SaltedHash::of("secret", random);
  const auto two = SaltedHash::of("secret", random);
  EXPECT_NE(one.salt, two.salt);
  EXPECT_NE(one.hash, two.hash);
}

TEST(SaltedHash, NeverMatchesADamagedRecord) {
  SimRandom random(6);
  auto no_salt = SaltedHash{.salt = "", .hash = sha256("secret")};
  EXPECT_FALSE(no_salt.matches("secret"));
  auto cut = SaltedHash::of("secret", random);
  cut.hash.resize(16);
  EXPECT_FALSE(cut.matches("secret"));
  EXPECT_FALSE(SaltedHash().matches(""));
}

}  // namespace
}  // namespace sluice::crypto
