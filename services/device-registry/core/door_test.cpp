#include "core/door.h"

#include "core/catalog.h"
#include "testing/fake_store.h"
#include "testing/fake_vault.h"
#include "testing/requests.h"

#include <chrono>

#include <sluice/base/encoding.h>
#include <sluice/base/planted_bug.h>
#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::registry {
namespace {

using namespace std::chrono_literals;
namespace proto = ::sluice::device::v1;

using testing::admin_of;

class DoorTest : public ::testing::Test {
 protected:
  DoorTest() {
    const auto made = store.run(Scope::all_tenants(), {}, [](Transaction& transaction) -> Result<> {
      for (const char* tenant : {"platform", "blue", "red"})
        SLUICE_TRY(transaction.ensure_tenant(tenant));
      return {};
    });
    EXPECT_TRUE(made);
  }

  Written new_device(std::string tenant = "blue", Json more = Json::object()) {
    more["device_class"] = "meter";
    return *catalog.create(admin_of(tenant), ResourceKind::kDevice, more, {});
  }
  Written add(const std::string& device, const Json& credential, std::string tenant = "blue") {
    auto added = catalog.add_credential(admin_of(tenant), device, credential, {});
    EXPECT_TRUE(added) << added.error().message();
    return *std::move(added);
  }
  proto::AuthenticateResponse ask(const proto::AuthenticateRequest& request) {
    auto answer = door.authenticate(request, {.service = "mqtt-front"});
    EXPECT_TRUE(answer) << answer.error().message();
    return answer ? *answer : proto::AuthenticateResponse();
  }
  static proto::AuthenticateRequest with_token(const Written& written) {
    proto::AuthenticateRequest request;
    request.set_token(text_at(written.shown_once, "auth_token"));
    return request;
  }
  static proto::AuthenticateRequest with_certificate(std::string common_name, char fingerprint,
                                                     std::string tenant = "") {
    proto::AuthenticateRequest request;
    request.mutable_certificate()->set_common_name(std::move(common_name));
    request.mutable_certificate()->set_fingerprint_sha256(std::string(32, fingerprint));
    request.mutable_certificate()->set_tenant_hint(std::move(tenant));
    return request;
  }

  sluice::testing::SimClock clock;
  sluice::testing::SimRandom random{1};
  testing::FakeStore store{clock};
  testing::FakeVault vault;
  testing::AuditList trail;
  Catalog catalog{store, vault, clock, random};
  Door door{store, vault, trail, clock, random};
};

TEST_F(DoorTest, RefusesATokenWithAWrongSecretAndAuditsIt) {
  proto::AuthenticateRequest request = with_token(new_device());
  request.mutable_token()->back() = '-';
  request.set_address("192.0.2.7");
  EXPECT_EQ(ask(request).refusal().reason(), proto::REFUSAL_REASON_UNKNOWN_CREDENTIAL);
  ASSERT_EQ(trail.records.size(), 1U);
  EXPECT_EQ(trail.records[0].reason(), "unknown_credential");
  EXPECT_EQ(trail.records[0].actor().address(), "192.0.2.7");
  EXPECT_EQ(trail.records[0].outcome(), common::v1::AUDIT_OUTCOME_REFUSED);
  request.set_token("nonsense");
  EXPECT_EQ(ask(request).refusal().reason(), proto::REFUSAL_REASON_UNKNOWN_CREDENTIAL);
}

TEST_F(DoorTest, RefusesRevokedAndExpiredCredentials) {
  const Written device = new_device("blue", {{"issue_token", false}});
  const Written token = add(device.resource.id, {{"kind", "token"}});
  ASSERT_TRUE(
      catalog.revoke_credential(admin_of("blue"), device.resource.id, token.resource.id, {}));
  EXPECT_EQ(ask(with_token(token)).refusal().reason(), proto::REFUSAL_REASON_CREDENTIAL_REVOKED);

  const Written brief =
      add(device.resource.id, {{"kind", "token"}, {"expires_at", "2026-01-01T01:00:00Z"}});
  EXPECT_EQ(ask(with_token(brief)).identity().credential_expires_at_ms(), 1'767'229'200'000);
  clock.advance(std::chrono::hours(2));
  EXPECT_EQ(ask(with_token(brief)).refusal().reason(), proto::REFUSAL_REASON_CREDENTIAL_EXPIRED);
}

TEST_F(DoorTest, RefusesADeviceThatClaimsToBeAnother) {
  const Written device = new_device("blue", {{"external_id", "serial-1"}});
  proto::AuthenticateRequest request = with_token(device);
  for (const std::string& own : {device.resource.id, std::string("serial-1")}) {
    request.set_claimed_device(own);
    EXPECT_TRUE(ask(request).has_identity()) << own;
  }
  request.set_claimed_device("serial-2");
  EXPECT_EQ(ask(request).refusal().reason(), proto::REFUSAL_REASON_WRONG_DEVICE);
}

TEST_F(DoorTest, RefusesEveryDeviceOfASuspendedTenant) {
  const Written device = new_device();
  Caller platform = admin_of("platform");
  ASSERT_TRUE(
      catalog.update(platform, ResourceKind::kTenant, "blue", {{"status", "suspended"}}, {}));
  EXPECT_EQ(ask(with_token(device)).refusal().reason(), proto::REFUSAL_REASON_TENANT_SUSPENDED);
  proto::LookupRequest lookup;
  lookup.set_tenant("blue");
  lookup.set_device(device.resource.id);
  EXPECT_EQ(door.lookup(lookup, {})->refusal().reason(), proto::REFUSAL_REASON_TENANT_SUSPENDED);
}

TEST_F(DoorTest, LetsACertificateInByFingerprintOrName) {
  const Written device = new_device();
  add(device.resource.id,
      {{"kind", "certificate"}, {"fingerprint_sha256", to_hex(std::string(32, 'f'))}});
  EXPECT_EQ(ask(with_certificate("anything", 'f')).identity().device(), device.resource.id);
  EXPECT_FALSE(ask(with_certificate("anything", 'g')).has_identity());
  add(device.resource.id, {{"kind", "certificate"}, {"common_name", "unit-7"}});
  EXPECT_EQ(ask(with_certificate("unit-7", 'g')).identity().device(), device.resource.id);
}

TEST_F(DoorTest, NeedsTheTenantWhereTwoShareAName) {
  const Written blue = new_device("blue");
  const Written red = new_device("red");
  add(blue.resource.id, {{"kind", "certificate"}, {"common_name", "unit-7"}}, "blue");
  add(red.resource.id, {{"kind", "certificate"}, {"common_name", "unit-7"}}, "red");
  EXPECT_EQ(ask(with_certificate("unit-7", 'x')).refusal().reason(),
            proto::REFUSAL_REASON_AMBIGUOUS_TENANT);
  EXPECT_EQ(ask(with_certificate("unit-7", 'x', "red")).identity().device(), red.resource.id);
  EXPECT_EQ(ask(with_certificate("unit-7", 'x', "green")).refusal().reason(),
            proto::REFUSAL_REASON_UNKNOWN_CREDENTIAL);
}

TEST_F(DoorTest, LetsTheSuccessorOfARevokedDeviceIn) {
  const Json certificate{{"kind", "certificate"}, {"common_name", "unit-7"}};
  const Written first = new_device();
  add(first.resource.id, certificate);
  ASSERT_TRUE(catalog.set_device_status(admin_of("blue"), first.resource.id, DeviceStatus::kRevoked,
                                        "lost", {}));
  EXPECT_EQ(ask(with_certificate("unit-7", 'x')).refusal().reason(),
            proto::REFUSAL_REASON_DEVICE_REVOKED);
  const Written second = new_device();
  add(second.resource.id, certificate);
  EXPECT_EQ(ask(with_certificate("unit-7", 'x')).identity().device(), second.resource.id);
}

TEST_F(DoorTest, BelievesAFingerprintBeforeAName) {
  const Written named = new_device("red");
  add(named.resource.id, {{"kind", "certificate"}, {"common_name", "unit-7"}}, "red");
  const Written exact = new_device("blue");
  add(exact.resource.id,
      {{"kind", "certificate"}, {"fingerprint_sha256", to_hex(std::string(32, 'f'))}});
  EXPECT_EQ(ask(with_certificate("unit-7", 'f')).identity().device(), exact.resource.id);
  EXPECT_EQ(ask(with_certificate("unit-7", 'g')).identity().device(), named.resource.id);
}

TEST_F(DoorTest, HandsOutThePskOfADeviceThatMayComeIn) {
  const Written device = new_device();
  const Written psk =
      add(device.resource.id,
          {{"kind", "psk"}, {"psk_identity", "unit"}, {"psk_key", to_hex(std::string(16, 'p'))}});
  EXPECT_TRUE(psk.shown_once.empty());
  proto::AuthenticateRequest request;
  request.set_psk_identity("blue/unit");
  EXPECT_EQ(ask(request).psk(), std::string(16, 'p'));
  ASSERT_TRUE(catalog.set_device_status(admin_of("blue"), device.resource.id,
                                        DeviceStatus::kInactive, "", {}));
  const auto refused = ask(request);
  EXPECT_EQ(refused.refusal().reason(), proto::REFUSAL_REASON_DEVICE_INACTIVE);
  EXPECT_TRUE(refused.psk().empty());
}

TEST_F(DoorTest, BelievesAJwtOnlyWithItsSignature) {
  const Written device = new_device();
  add(device.resource.id,
      {{"kind", "jwt"}, {"public_key", "-----BEGIN PUBLIC KEY-----" + std::string(64, 'k')}});
  const std::string front = "e30." + to_base64url(Json{{"sub", device.resource.id}}.dump()) + ".";
  proto::AuthenticateRequest request;
  request.set_jwt(front + "signed");
  EXPECT_EQ(ask(request).identity().device(), device.resource.id);
  request.set_jwt(front + "forged");
  EXPECT_EQ(ask(request).refusal().reason(), proto::REFUSAL_REASON_UNKNOWN_CREDENTIAL);
  request.set_jwt("not.a.jwt");
  EXPECT_EQ(ask(request).refusal().reason(), proto::REFUSAL_REASON_UNKNOWN_CREDENTIAL);
}

TEST_F(DoorTest, ASessionEndsWithTheJwtOrItsKeyWhicheverIsFirst) {
  const Written device = new_device();
  const auto at = [&](std::chrono::hours from_now) { return clock.wall() + from_now; };
  const auto ms = [](WallTime time) { return time.time_since_epoch().count(); };
  add(device.resource.id, {{"kind", "jwt"},
                           {"public_key", "-----BEGIN PUBLIC KEY-----" + std::string(64, 'k')},
                           {"expires_at", format_rfc3339(at(std::chrono::hours(2)))}});
  proto::AuthenticateRequest request;
  request.set_jwt("e30." + to_base64url(Json{{"sub", device.resource.id}}.dump()) + ".signed");
  vault.jwt_expires_at = at(std::chrono::hours(1));
  EXPECT_EQ(ask(request).identity().credential_expires_at_ms(), ms(at(std::chrono::hours(1))));
  vault.jwt_expires_at = at(std::chrono::hours(3));
  EXPECT_EQ(ask(request).identity().credential_expires_at_ms(), ms(at(std::chrono::hours(2))));
}

TEST_F(DoorTest, AJwtOfAKeyWithoutAnEndEndsTheSession) {
  const Written device = new_device();
  add(device.resource.id,
      {{"kind", "jwt"}, {"public_key", "-----BEGIN PUBLIC KEY-----" + std::string(64, 'k')}});
  proto::AuthenticateRequest request;
  request.set_jwt("e30." + to_base64url(Json{{"sub", device.resource.id}}.dump()) + ".signed");
  vault.jwt_expires_at = clock.wall() + std::chrono::hours(1);
  EXPECT_EQ(ask(request).identity().credential_expires_at_ms(),
            vault.jwt_expires_at.time_since_epoch().count());
  EXPECT_EQ(ask(with_token(device)).identity().credential_expires_at_ms(), 0);
}

TEST_F(DoorTest, UsesTheStoreForNoLongerThanItsAskerWaits) {
  const Written device = new_device();
  proto::LookupRequest lookup;
  lookup.set_tenant("blue");
  lookup.set_device(device.resource.id);
  proto::VerifyOperatorKeyRequest verify;
  verify.set_key(vault.mint(TokenKind::kOperator).text);
  const auto ask_all = [&](MonoTime deadline) {
    const Asker asker{.service = "mqtt-front", .deadline = deadline};
    std::vector<std::optional<ErrorCode>> errors;
    const auto note = [&](const auto& answer) {
      errors.push_back(answer ? std::nullopt : std::optional(answer.error().code()));
    };
    store.timeouts.clear();
    note(door.authenticate(with_token(device), asker));
    note(door.lookup(lookup, asker));
    note(door.verify_operator_key(verify, asker));
    return errors;
  };
  const std::vector<std::optional<ErrorCode>> answered(3);
  EXPECT_EQ(ask_all(clock.mono() + 150ms), answered);
  EXPECT_EQ(store.timeouts, std::vector(3, 150ms));
  EXPECT_EQ(ask_all(clock.mono() + 1h), answered);
  EXPECT_EQ(store.timeouts, std::vector(3, DoorConfig().timeout));
  // None is left: zero would be the store's own limit.
  EXPECT_EQ(ask_all(clock.mono() + 1us),
            std::vector(3, std::optional(ErrorCode::kDeadlineExceeded)));
  EXPECT_TRUE(store.timeouts.empty());
}

TEST_F(DoorTest, AnswersEachOfManyQuestionsByItself) {
  const Written first = new_device();
  const Written second = new_device("red");
  const Written gone = new_device();
  ASSERT_TRUE(catalog.set_device_status(admin_of("blue"), gone.resource.id, DeviceStatus::kRevoked,
                                        "lost", {}));
  proto::AuthenticateManyRequest request;
  *request.add_questions() = with_token(first);
  request.add_questions()->set_address("192.0.2.7");  // of no kind
  *request.add_questions() = with_token(gone);
  *request.add_questions() = with_token(second);
  request.add_questions()->set_token("nonsense");
  *request.add_questions() = with_token(first);
  *request.add_questions() = with_certificate(std::string("unit\0", 5), 'x');
  store.timeouts.clear();
  const auto answers = door.authenticate_many(request, {.service = "mqtt-front"});
  ASSERT_TRUE(answers) << answers.error().message();
  ASSERT_EQ(answers->answers_size(), 7);
  const auto device = [&](int i) { return answers->answers(i).response().identity().device(); };
  const auto refusal = [&](int i) { return answers->answers(i).response().refusal().reason(); };
  EXPECT_EQ(device(0), first.resource.id);
  EXPECT_EQ(answers->answers(1).failure().code(), static_cast<int>(ErrorCode::kInvalidArgument));
  EXPECT_EQ(refusal(2), proto::REFUSAL_REASON_DEVICE_REVOKED);
  EXPECT_EQ(device(3), second.resource.id);
  EXPECT_EQ(answers->answers(3).response().identity().tenant(), "red");
  EXPECT_EQ(refusal(4), proto::REFUSAL_REASON_UNKNOWN_CREDENTIAL);
  EXPECT_EQ(device(5), first.resource.id);
  EXPECT_EQ(refusal(6), proto::REFUSAL_REASON_UNKNOWN_CREDENTIAL);
  EXPECT_EQ(trail.records.size(), 3U) << "each refusal is audited, and nothing else";
  EXPECT_EQ(store.timeouts.size(), 1U) << "the store is asked once for all";
}

// What AnswersEachOfManyQuestionsByItself is there for. The proof stands in the way of a mix-up.
TEST_F(DoorTest, NobodyIsLetInByAnothersCandidates) {
  const ScopedPlantedBug bug("door_answers_the_next");
  proto::AuthenticateManyRequest request;
  for (int i = 0; i < 3; ++i) *request.add_questions() = with_token(new_device());
  const auto answers = door.authenticate_many(request, {});
  ASSERT_TRUE(answers);
  for (const auto& answer : answers->answers()) {
    EXPECT_EQ(answer.response().refusal().reason(), proto::REFUSAL_REASON_UNKNOWN_CREDENTIAL);
  }
}

TEST_F(DoorTest, TakesABoundedNumberOfQuestions) {
  proto::AuthenticateManyRequest request;
  EXPECT_EQ(door.authenticate_many(request, {}).error().code(), ErrorCode::kInvalidArgument);
  for (int i = 0; i < kMaxQuestions; ++i) request.add_questions()->set_token("nonsense");
  EXPECT_TRUE(door.authenticate_many(request, {}));
  request.add_questions();
  const auto refused = door.authenticate_many(request, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().faults().front().field, "questions");
}

TEST_F(DoorTest, AnswersNoMoreAtOnceThanFitsIntoAMessage) {
  Door narrow(store, vault, trail, clock, random, {.max_answers_bytes = 1000});
  proto::AuthenticateManyRequest request;
  for (int i = 0; i < 8; ++i) *request.add_questions() = with_token(new_device());
  const auto answers = narrow.authenticate_many(request, {});
  ASSERT_TRUE(answers);
  EXPECT_GE(answers->answers_size(), 1);
  EXPECT_LT(answers->answers_size(), 8);
  const int last = answers->answers_size() - 1;
  EXPECT_LE(answers->ByteSizeLong() - answers->answers(last).ByteSizeLong(), 1000U + 3 * 8);
}

/// Each refusal takes so long.
class SlowTrail final : public AuditTrail {
 public:
  explicit SlowTrail(sluice::testing::SimClock& clock) : clock_(clock) {}
  void record(const common::v1::AuditRecord&) override { clock_.advance(10ms); }

 private:
  sluice::testing::SimClock& clock_;
};

TEST_F(DoorTest, AnswersNoMoreAtOnceThanThereIsTimeFor) {
  SlowTrail slow(clock);
  proto::AuthenticateManyRequest request;
  for (int i = 0; i < 8; ++i) request.add_questions()->set_token("nonsense");
  const auto answers_within = [&](std::chrono::milliseconds budget, const Asker& asker) {
    Door bounded(store, vault, slow, clock, random, {.max_judging = budget});
    const auto answers = bounded.authenticate_many(request, asker);
    EXPECT_TRUE(answers);
    return answers ? answers->answers_size() : 0;
  };
  EXPECT_EQ(answers_within(1h, {}), 8);
  EXPECT_EQ(answers_within(25ms, {}), 3);
  EXPECT_EQ(answers_within(0ms, {}), 1) << "or the same would be asked for ever";
  EXPECT_EQ(answers_within(1h, {.deadline = clock.mono() + 35ms}), 4);
}

TEST_F(DoorTest, NeedsACredential) {
  const auto none = door.authenticate({}, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(DoorTest, TakesSchemaPolicyAndLimitsFromTheClass) {
  const Caller admin = admin_of("blue");
  ASSERT_TRUE(catalog.create(
      admin, ResourceKind::kTopicPolicy,
      {{"topic_policy_id", "p"},
       {"rules", {{{"action", "publish"}, {"topic", "{tenant}/{device}/up"}, {"max_qos", 1}}}}},
      {}));
  ASSERT_TRUE(catalog.create(admin, ResourceKind::kDeviceClass,
                             {{"device_class_id", "meter"},
                              {"topic_policy_id", "p"},
                              {"schema_id", "s"},
                              {"max_qos", 1.0},
                              {"limits", {{"messages_per_second", 5}}}},
                             {}));
  const Written device = new_device();
  const proto::DeviceIdentity identity = ask(with_token(device)).identity();
  EXPECT_EQ(identity.schema_id(), "s");
  EXPECT_EQ(identity.topic_policy(), "p");
  ASSERT_EQ(identity.rules_size(), 1);
  EXPECT_EQ(identity.rules(0).topic(), "blue/" + device.resource.id + "/up");
  EXPECT_EQ(identity.limits().messages_per_second(), 5U);
  EXPECT_EQ(identity.limits().max_qos(), 1U);
  const auto revision = [&](ResourceKind kind, const char* id) {
    return catalog.get(admin, kind, id)->revision;
  };
  EXPECT_EQ(identity.class_revision(), revision(ResourceKind::kDeviceClass, "meter"));
  EXPECT_EQ(identity.policy_revision(), revision(ResourceKind::kTopicPolicy, "p"));
}

TEST_F(DoorTest, KnowsOperatorsByTheirKeys) {
  const auto key = catalog.create(admin_of("blue"), ResourceKind::kApiKey,
                                  {{"name", "ci"}, {"role", "operator"}}, {});
  proto::VerifyOperatorKeyRequest request;
  request.set_key(text_at(key->shown_once, "key"));
  const auto valid = door.verify_operator_key(request, {});
  ASSERT_TRUE(valid);
  EXPECT_TRUE(valid->is_valid());
  EXPECT_EQ(valid->tenant(), "blue");
  EXPECT_EQ(valid->role(), proto::OPERATOR_ROLE_OPERATOR);
  EXPECT_EQ(valid->key_id(), key->resource.id);

  proto::VerifyOperatorKeyRequest wrong = request;
  wrong.mutable_key()->back() = '-';
  EXPECT_FALSE(door.verify_operator_key(wrong, {})->is_valid());
  ASSERT_TRUE(catalog.revoke_api_key(admin_of("blue"), key->resource.id, {}));
  const auto revoked = door.verify_operator_key(request, {});
  EXPECT_FALSE(revoked->is_valid());
  EXPECT_TRUE(revoked->tenant().empty());
  EXPECT_EQ(trail.records.back().reason(), "key_revoked");
}

}  // namespace
}  // namespace sluice::registry
