#include "core/credential.h"

#include "testing/fake_vault.h"

#include <gtest/gtest.h>

namespace sluice::registry {
namespace {

using testing::FakeVault;

const TenantId kBlue("blue");
constexpr const char* kDevice = "0190f0f0-0000-7000-8000-000000000000";

std::string fault_of(const Json& body) {
  FakeVault vault;
  const auto prepared = prepare_credential(body, kBlue, kDevice, vault);
  return prepared || prepared.error().faults().empty() ? ""
                                                       : prepared.error().faults().front().field;
}

TEST(Credential, MintsATokenAndKeepsItsHashOnly) {
  FakeVault vault;
  const auto prepared = prepare_credential({{"kind", "token"}}, kBlue, kDevice, vault);
  ASSERT_TRUE(prepared);
  const std::string token = text_at(prepared->shown_once, "auth_token");
  EXPECT_EQ(token.size(), 60U);
  EXPECT_EQ(prepared->secrets.lookup_key, "token:" + text_at(prepared->fields, "credential_id"));
  EXPECT_EQ(prepared->fields.dump().find(token), std::string::npos);
}

TEST(Credential, ShowsNoSecretThatItsSupplierHas) {
  FakeVault vault;
  const std::string token = "sld_abcdefghijkl_" + std::string(43, 'x');
  const auto adopted =
      prepare_credential({{"kind", "token"}, {"auth_token", token}}, kBlue, kDevice, vault);
  ASSERT_TRUE(adopted) << adopted.error().message();
  EXPECT_TRUE(adopted->shown_once.empty());
  const auto psk = prepare_credential({{"kind", "psk"}, {"psk_key", std::string(32, 'a')}}, kBlue,
                                      kDevice, vault);
  ASSERT_TRUE(psk);
  EXPECT_TRUE(psk->shown_once.empty());
}

TEST(Credential, TakesAHashInsteadOfAToken) {
  FakeVault vault;
  const Json hash{
      {"id", "abcdefghijkl"}, {"salt", std::string(32, '0')}, {"sha256", std::string(64, 'f')}};
  const auto prepared =
      prepare_credential({{"kind", "token"}, {"auth_token_hash", hash}}, kBlue, kDevice, vault);
  ASSERT_TRUE(prepared) << prepared.error().message();
  EXPECT_EQ(prepared->secrets.salt, std::string(16, '\0'));
  EXPECT_EQ(prepared->secrets.secret_hash, std::string(32, '\xff'));
  EXPECT_EQ(prepared->fields["credential_id"], "abcdefghijkl");
}

TEST(Credential, SealsAPskForItsOwnPlace) {
  FakeVault vault;
  const auto prepared =
      prepare_credential({{"kind", "psk"}, {"psk_identity", "unit"}}, kBlue, kDevice, vault);
  ASSERT_TRUE(prepared);
  EXPECT_EQ(prepared->fields["psk_identity"], "blue/unit");
  const std::string id = text_at(prepared->fields, "credential_id");
  EXPECT_TRUE(vault.open(prepared->secrets.sealed_secret, psk_seal_context(kBlue, kDevice, id)));
  EXPECT_FALSE(
      vault.open(prepared->secrets.sealed_secret, psk_seal_context(TenantId("red"), kDevice, id)));
}

TEST(Credential, NamesTheFaultyField) {
  EXPECT_EQ(fault_of(Json::object()), "/kind");
  EXPECT_EQ(fault_of({{"kind", "password"}}), "/kind");
  EXPECT_EQ(fault_of({{"kind", "token"}, {"auth_token", "short"}}), "/auth_token");
  EXPECT_EQ(fault_of({{"kind", "psk"}, {"psk_key", "00"}}), "/psk_key");
  EXPECT_EQ(fault_of({{"kind", "psk"}, {"psk_key", std::string(33, 'a')}}), "/psk_key");
  EXPECT_EQ(fault_of({{"kind", "certificate"}}), "/fingerprint_sha256");
  EXPECT_EQ(fault_of({{"kind", "jwt"}, {"public_key", std::string(100, 'x')}}), "/public_key");
  EXPECT_EQ(fault_of({{"kind", "token"}, {"public_key", "x"}}), "/public_key");
}

}  // namespace
}  // namespace sluice::registry
