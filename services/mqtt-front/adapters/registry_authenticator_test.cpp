#include "adapters/registry_under_test.h"

#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>

#include <sluice/device/v1/device_registry.grpc.pb.h>
#include <sluice/grpc/raw.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

namespace proto = ::sluice::device::v1;
using namespace std::chrono_literals;
using Scope = DeviceChange::Scope;

proto::AuthenticateResponse answer_of(std::int64_t revision, std::int64_t class_revision = 1) {
  proto::AuthenticateResponse answer;
  proto::DeviceIdentity& identity = *answer.mutable_identity();
  identity.set_tenant("blue");
  identity.set_device("d1");
  identity.set_device_class("meter");
  identity.set_status(proto::DEVICE_STATUS_ACTIVE);
  identity.set_credential_id("c1");
  identity.set_revision(revision);
  identity.set_class_revision(class_revision);
  return answer;
}

/// A registry whose questions wait until the test answers them.
class SlowRegistry final : public proto::DeviceRegistryService::CallbackService {
 public:
  explicit SlowRegistry(rpc::Server& server)
      : authenticate_(server.method({.name = "sluice.device.v1.DeviceRegistryService/Authenticate",
                                     .peers = {"mqtt-front"}})) {
    server.add(*this);
  }

  grpc::ServerUnaryReactor* Authenticate(grpc::CallbackServerContext* context,
                                         const proto::AuthenticateRequest* request,
                                         proto::AuthenticateResponse* response) override {
    return rpc::serve(
        authenticate_, context, request, response,
        [this](const rpc::Call&, const proto::AuthenticateRequest&) { return wait_for_answer(); });
  }

  /// Waits until a question is there that has no answer yet.
  bool has_question() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [this] { return asked_ > answered_; });
  }
  void answer(proto::AuthenticateResponse with) {
    const std::lock_guard lock(mutex_);
    ++answered_;
    answers_.push_back(std::move(with));
    changed_.notify_all();
  }
  int asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  Result<proto::AuthenticateResponse> wait_for_answer() {
    std::unique_lock lock(mutex_);
    ++asked_;
    changed_.notify_all();
    if (!changed_.wait_for(lock, kDeadline, [this] { return !answers_.empty(); })) {
      return fail(ErrorCode::kUnavailable, "the test gave no answer");
    }
    proto::AuthenticateResponse answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }

  rpc::Method& authenticate_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int asked_ = 0;
  int answered_ = 0;
  std::deque<proto::AuthenticateResponse> answers_;
};

class RegistryAuthenticatorTest : public AskingARegistry {
 protected:
  RegistryAuthenticatorTest() {
    slow_ = std::make_unique<SlowRegistry>(*server_);
    start();
  }

  Answer ask() {
    proto::AuthenticateRequest question;
    question.set_token("secret");
    return ask(std::move(question));
  }
  using AskingARegistry::ask;
  static std::int64_t revision_in(Answer& answer) {
    if (answer.wait_for(kDeadline) != std::future_status::ready) return -1;
    const auto verdict = answer.get();
    return verdict && verdict->identity ? verdict->identity->revision : 0;
  }

  std::unique_ptr<SlowRegistry> slow_;
};

TEST_F(RegistryAuthenticatorTest, AsksAgainWhenAChangeCrossesTheAnswer) {
  auto first = ask();
  ASSERT_TRUE(slow_->has_question());
  auto second = ask();  // of the same device: it waits for the same answer
  // The registry has read revision 5 and is about to say so when the front hears of revision 6.
  EXPECT_TRUE(
      cache_.on_change({.scope = Scope::kDevice, .tenant = "blue", .name = "d1", .revision = 6}));
  slow_->answer(answer_of(5));
  ASSERT_TRUE(slow_->has_question());
  slow_->answer(answer_of(6));
  EXPECT_EQ(revision_in(first), 6);
  EXPECT_EQ(revision_in(second), 6);
  EXPECT_EQ(slow_->asked(), 2);  // once more for both
  auto later = ask();
  EXPECT_EQ(revision_in(later), 6);
  EXPECT_EQ(slow_->asked(), 2);
}

// One restored from a backup, or a replica that stands still.
TEST_F(RegistryAuthenticatorTest, AsksARegistryThatIsBehindThreeTimesAndNotForEver) {
  EXPECT_TRUE(
      cache_.on_change({.scope = Scope::kDevice, .tenant = "blue", .name = "d1", .revision = 6}));
  auto first = ask();
  ASSERT_TRUE(slow_->has_question());
  auto second = ask();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(slow_->has_question());
    slow_->answer(answer_of(5));
  }
  for (auto* answer : {&first, &second}) {
    ASSERT_EQ(answer->wait_for(kDeadline), std::future_status::ready);
    const auto verdict = answer->get();
    ASSERT_FALSE(verdict);
    EXPECT_EQ(verdict.error().code(), ErrorCode::kUnavailable);
  }
  EXPECT_EQ(slow_->asked(), 3);
}

TEST_F(RegistryAuthenticatorTest, LetsNobodyInByAnAnswerThatMakesNoSense) {
  auto first = ask();
  ASSERT_TRUE(slow_->has_question());
  auto answer = answer_of(5);
  answer.mutable_identity()->set_cache_ttl_seconds(1);
  slow_->answer(answer);
  ASSERT_EQ(revision_in(first), 5);
  time_.advance(2s);
  auto second = ask();
  ASSERT_TRUE(slow_->has_question());
  answer.mutable_identity()->set_status(static_cast<proto::DeviceStatus>(77));
  slow_->answer(answer);
  ASSERT_EQ(second.wait_for(kDeadline), std::future_status::ready);
  EXPECT_FALSE(second.get()) << "not by what was remembered either";
}

TEST_F(RegistryAuthenticatorTest, LetsAKnownDeviceInWhenTheRegistryHangs) {
  auto first = ask();
  ASSERT_TRUE(slow_->has_question());
  auto answer = answer_of(5);
  answer.mutable_identity()->set_cache_ttl_seconds(1);
  slow_->answer(answer);
  ASSERT_EQ(revision_in(first), 5);
  time_.advance(2s);
  RegistryAuthenticator brief({.unknown = kDeadline, .known = 20ms, .behind = 1ms}, *channel_,
                              cache_, revoked_, IdentityOptions{.topics = topics_}, time_, random_,
                              metrics_);
  handle_ = brief.for_loop([](std::move_only_function<void()> task) { task(); });
  for (int i = 0; i < 2; ++i) {
    auto later = ask();
    EXPECT_EQ(revision_in(later), 5);
  }
  EXPECT_EQ(cache_.stats().misses, 2U) << "the last one was spared the wait";
  slow_->answer(answer_of(5));  // or it would go on waiting
}

TEST_F(RegistryAuthenticatorTest, BelievesTheFirstAnswerAboutADeviceOfANewClass) {
  auto first = ask();
  ASSERT_TRUE(slow_->has_question());
  EXPECT_TRUE(cache_.on_change(
      {.scope = Scope::kDeviceClass, .tenant = "blue", .name = "meter", .revision = 3}));
  slow_->answer(answer_of(5, 3));
  EXPECT_EQ(revision_in(first), 5);
  EXPECT_EQ(slow_->asked(), 1);
}

TEST_F(RegistryAuthenticatorTest, TellsNobodyWhichPreSharedKeysThereAre) {
  const auto key_of = [&](const proto::AuthenticateResponse& with) {
    std::promise<std::optional<Secret>> found;
    authenticator_->find_psk("blue/d1",
                             [&](std::optional<Secret> key) { found.set_value(std::move(key)); });
    EXPECT_TRUE(slow_->has_question());
    slow_->answer(with);
    const auto key = found.get_future().get();
    return key ? key->reveal() : std::string();
  };
  auto known = answer_of(1);
  known.set_psk("0123456789abcdef");
  EXPECT_EQ(key_of(known), "0123456789abcdef");
  proto::AuthenticateResponse refusal;
  refusal.mutable_refusal()->set_reason(proto::REFUSAL_REASON_UNKNOWN_CREDENTIAL);
  const std::string first = key_of(refusal);
  EXPECT_EQ(first.size(), 32U);
  EXPECT_NE(first, key_of(refusal));
}

TEST_F(RegistryAuthenticatorTest, RemembersForTlsThatACertificateIsRevoked) {
  net::Fingerprint fingerprint{};
  fingerprint.fill(std::byte{7});
  proto::AuthenticateRequest question;
  question.mutable_certificate()->set_fingerprint_sha256(std::string(32, 7));
  const auto refuse = [&](proto::RefusalReason reason) {
    question.mutable_certificate()->set_common_name(std::to_string(reason));  // not from the cache
    auto answer = ask(question);
    EXPECT_TRUE(slow_->has_question());
    proto::AuthenticateResponse refusal;
    refusal.mutable_refusal()->set_reason(reason);
    slow_->answer(refusal);
    EXPECT_EQ(revision_in(answer), 0);
  };
  // Whoever is let in again has the same certificate.
  refuse(proto::REFUSAL_REASON_DEVICE_QUARANTINED);
  EXPECT_FALSE(revoked_.contains(fingerprint));
  refuse(proto::REFUSAL_REASON_CREDENTIAL_REVOKED);
  EXPECT_TRUE(revoked_.contains(fingerprint));
}

}  // namespace
}  // namespace sluice::front
