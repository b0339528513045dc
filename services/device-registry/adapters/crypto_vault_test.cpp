#include "adapters/crypto_vault.h"

#include <sluice/base/encoding.h>
#include <sluice/crypto/testing/test_signer.h>
#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::registry {
namespace {

class CryptoVaultTest : public ::testing::Test {
 protected:
  sluice::testing::SimClock clock;
  SystemRandom random;
  std::unique_ptr<CryptoVault> vault = *CryptoVault::open(
      Secret("k1 " + to_base64url(std::string(32, 'k'))), "sluice", clock, random);
};

TEST_F(CryptoVaultTest, KnowsTheTokensItMinted) {
  const MintedToken minted = vault->mint(TokenKind::kDevice);
  const auto presented = vault->parse(TokenKind::kDevice, minted.text);
  ASSERT_TRUE(presented);
  EXPECT_EQ(presented->id, minted.id);
  EXPECT_TRUE(vault->matches(minted.salt, minted.hash, presented->secret));
  EXPECT_FALSE(vault->matches(minted.salt, minted.hash, presented->secret + "x"));
  EXPECT_FALSE(vault->parse(TokenKind::kOperator, minted.text));
  const auto adopted = vault->adopt(TokenKind::kDevice, minted.text);
  ASSERT_TRUE(adopted);
  EXPECT_TRUE(adopted->text.empty());
  EXPECT_TRUE(vault->matches(adopted->salt, adopted->hash, presented->secret));
}

TEST_F(CryptoVaultTest, OpensASealedValueInItsPlaceOnly) {
  const std::string sealed = *vault->seal("secret", "here");
  EXPECT_EQ(sealed.find("secret"), std::string::npos);
  EXPECT_EQ(vault->open(sealed, "here"), "secret");
  EXPECT_FALSE(vault->open(sealed, "there"));
}

TEST_F(CryptoVaultTest, MintsKeysThatDiffer) {
  EXPECT_EQ(vault->mint_key().size(), 32U);
  EXPECT_NE(vault->mint_key(), vault->mint_key());
  EXPECT_EQ(vault->mint_id().size(), 12U);
}

TEST_F(CryptoVaultTest, BelievesATokenThatADeviceSignedForItself) {
  const auto signer = crypto::testing::TestSigner::p256();
  const auto stranger = crypto::testing::TestSigner::p256();
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(clock.wall().time_since_epoch()).count();
  const auto claims = [&](std::string_view issuer, std::string_view subject,
                          std::string_view audience) {
    return std::format(R"({{"iss":"{}","sub":"{}","aud":"{}","exp":{}}})", issuer, subject,
                       audience, now + 60);
  };
  const auto is_believed = [&](const crypto::testing::TestSigner& by, const std::string& payload) {
    return vault->verify_jwt(by.sign_with_kid("k", payload), signer.public_pem(), "d1").has_value();
  };
  ASSERT_TRUE(vault->check_public_key(signer.public_pem()));
  EXPECT_FALSE(vault->check_public_key("-----BEGIN PUBLIC KEY-----"));
  EXPECT_TRUE(is_believed(signer, claims("d1", "d1", "sluice")));
  EXPECT_FALSE(is_believed(stranger, claims("d1", "d1", "sluice")));
  EXPECT_FALSE(is_believed(signer, claims("d2", "d1", "sluice")));
  EXPECT_FALSE(is_believed(signer, claims("d1", "d2", "sluice")));
  EXPECT_FALSE(is_believed(signer, claims("d1", "d1", "other")));
  clock.advance(std::chrono::hours(1));
  EXPECT_FALSE(is_believed(signer, claims("d1", "d1", "sluice")));
}

TEST_F(CryptoVaultTest, RefusesAKeyRingThatCannotSeal) {
  EXPECT_FALSE(CryptoVault::open(Secret(""), "sluice", clock, random));
}

}  // namespace
}  // namespace sluice::registry
