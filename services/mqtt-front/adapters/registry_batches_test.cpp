// Many devices at once, between the front and a registry: what one call carries is in
// core/question_batches_test.cpp.
#include "adapters/registry_under_test.h"

#include <atomic>
#include <condition_variable>
#include <format>
#include <future>
#include <map>
#include <mutex>

#include <sluice/device/v1/device_registry.grpc.pb.h>
#include <sluice/grpc/raw.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

namespace proto = ::sluice::device::v1;
using namespace std::chrono_literals;

constexpr int kCallsAtOnce = 4;  // QuestionBatches::Limits::calls

/// A registry where each token is that of the device of its name. Single questions wait until the
/// test lets them be answered.
class CrowdedRegistry final : public proto::DeviceRegistryService::CallbackService {
 public:
  CrowdedRegistry(rpc::Server& server, bool knows_many)
      : authenticate_(server.method({.name = name_of("Authenticate"), .peers = {"mqtt-front"}})),
        many_(knows_many
                  ? &server.method({.name = name_of("AuthenticateMany"), .peers = {"mqtt-front"}})
                  : nullptr) {
    server.add(*this);
  }

  grpc::ServerUnaryReactor* Authenticate(grpc::CallbackServerContext* context,
                                         const proto::AuthenticateRequest* request,
                                         proto::AuthenticateResponse* response) override {
    return rpc::serve(
        authenticate_, context, request, response,
        [this](const rpc::Call&,
               const proto::AuthenticateRequest& question) -> Result<proto::AuthenticateResponse> {
          std::unique_lock lock(mutex_);
          ++asked_;
          changed_.notify_all();
          changed_.wait_for(lock, kDeadline, [this] { return is_open_; });
          return device_of(question.token());
        });
  }

  grpc::ServerUnaryReactor* AuthenticateMany(grpc::CallbackServerContext* context,
                                             const proto::AuthenticateManyRequest* request,
                                             proto::AuthenticateManyResponse* response) override {
    return rpc::serve(*many_, context, request, response,
                      [this](const rpc::Call&, const proto::AuthenticateManyRequest& questions)
                          -> Result<proto::AuthenticateManyResponse> {
                        ++calls_of_many;
                        if (is_overloaded) return fail(ErrorCode::kResourceExhausted, "busy");
                        proto::AuthenticateManyResponse answers;
                        for (const auto& question : questions.questions()) {
                          auto* answer = answers.add_answers();
                          if (question.token() == "odd") {
                            answer->mutable_failure()->set_code(3);
                          } else {
                            *answer->mutable_response() = device_of(question.token());
                          }
                        }
                        return answers;
                      });
  }

  bool wait_for_questions(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [&] { return asked_ >= count; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  int asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

  std::atomic<bool> is_overloaded{false};
  std::atomic<int> calls_of_many{0};

 private:
  static std::string name_of(const char* method) {
    return std::string("sluice.device.v1.DeviceRegistryService/") + method;
  }
  static proto::AuthenticateResponse device_of(const std::string& token) {
    proto::AuthenticateResponse answer;
    proto::DeviceIdentity& identity = *answer.mutable_identity();
    identity.set_tenant("blue");
    identity.set_device(token);
    identity.set_device_class("meter");
    identity.set_status(proto::DEVICE_STATUS_ACTIVE);
    identity.set_credential_id("c-" + token);
    identity.set_revision(1);
    return answer;
  }

  rpc::Method& authenticate_;
  rpc::Method* const many_;  // null: of a version that has no such method
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int asked_ = 0;
  bool is_open_ = false;
};

class RegistryBatchesTest : public AskingARegistry {
 protected:
  using Verdicts = std::map<std::string, Answer>;

  explicit RegistryBatchesTest(bool knows_many = true) {
    registry_ = std::make_unique<CrowdedRegistry>(*server_, knows_many);
    start();
  }

  void ask(const std::string& token) {
    proto::AuthenticateRequest question;
    question.set_token(token);
    verdicts_[token] = AskingARegistry::ask(std::move(question));
  }
  /// As many single questions as may be under way, and the devices d0 to d9 that wait for them.
  void ask_a_crowd() {
    for (int i = 0; i < kCallsAtOnce; ++i) ask(std::format("first{}", i));
    ASSERT_TRUE(registry_->wait_for_questions(kCallsAtOnce));
    for (int i = 0; i < 10; ++i) ask(std::format("d{}", i));
  }
  /// The device that a token was taken for, or "refused" or "unavailable".
  std::string outcome(const std::string& token) {
    auto& verdict = verdicts_.at(token);
    if (verdict.wait_for(kDeadline) != std::future_status::ready) return "nothing";
    const auto result = verdict.get();
    if (!result) return std::string(to_string(result.error().code()));
    return result->identity ? result->identity->device.value() : result->refusal;
  }
  std::uint64_t failures() {
    return metrics_
        .counter("sluice_mqtt_registry_failures_total",
                 "Questions that the device registry did not answer.")
        .value();
  }

  std::unique_ptr<CrowdedRegistry> registry_;
  Verdicts verdicts_;
};

class RegistryOfBeforeTest : public RegistryBatchesTest {
 protected:
  RegistryOfBeforeTest() : RegistryBatchesTest(/*knows_many=*/false) {}
};

TEST_F(RegistryBatchesTest, ACrowdIsAskedAboutInOneCall) {
  ask_a_crowd();
  registry_->open();
  for (const auto& [token, verdict] : verdicts_) EXPECT_EQ(outcome(token), token);
  EXPECT_EQ(registry_->calls_of_many, 1);
  EXPECT_EQ(registry_->asked(), kCallsAtOnce);
}

TEST_F(RegistryBatchesTest, AQuestionThatFailsFailsAlone) {
  ask_a_crowd();
  ask("odd");
  registry_->open();
  EXPECT_EQ(outcome("odd"), "unavailable");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(outcome(std::format("d{}", i)), std::format("d{}", i));
  EXPECT_EQ(failures(), 1U);
}

TEST_F(RegistryBatchesTest, ACallThatFailsIsTheAnswerToEverybodyWhoIsInIt) {
  registry_->is_overloaded = true;
  ask_a_crowd();
  registry_->open();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(outcome(std::format("d{}", i)), "unavailable");
  EXPECT_EQ(failures(), 10U);
}

TEST_F(RegistryBatchesTest, TheSameCredentialIsAskedAboutOnce) {
  ask_a_crowd();
  proto::AuthenticateRequest question;
  question.set_token("d3");
  std::promise<Result<Authenticator::Verdict>> twin;
  handle_->authenticate(std::move(question), [&](Result<Authenticator::Verdict> verdict) {
    twin.set_value(std::move(verdict));
  });
  EXPECT_EQ(cache_.stats().joined, 1U);
  registry_->open();
  EXPECT_EQ(twin.get_future().get()->identity->device.value(), "d3");
}

// Passwords are any bytes, and texts of protobuf are not.
TEST_F(RegistryBatchesTest, WhatNoRegistryCanReadIsNobodysCredential) {
  ask_a_crowd();
  ask("\xff\xfe");
  EXPECT_EQ(outcome("\xff\xfe"), "unknown_credential");
  registry_->open();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(outcome(std::format("d{}", i)), std::format("d{}", i));
}

// The front was upgraded first.
TEST_F(RegistryOfBeforeTest, IsAskedSingly) {
  ask_a_crowd();
  registry_->open();
  for (const auto& [token, verdict] : verdicts_) EXPECT_EQ(outcome(token), token);
  EXPECT_EQ(registry_->asked(), kCallsAtOnce + 10);
  EXPECT_EQ(failures(), 0U);
}

}  // namespace
}  // namespace sluice::front
