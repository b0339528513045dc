#pragma once

#include "adapters/registry_authenticator.h"

#include <chrono>
#include <future>
#include <memory>
#include <utility>

#include <sluice/device/v1/device_registry.grpc.pb.h>
#include <sluice/grpc/config.h>
#include <sluice/grpc/server.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::front {

/// Long after whatever a test waits for.
inline constexpr std::chrono::seconds kDeadline{60};

/// A front's side of the registry, over gRPC to a registry of the test: which adds it to `server_`
/// and then calls start().
class AskingARegistry : public ::testing::Test {
 protected:
  using Answer = std::future<Result<Authenticator::Verdict>>;

  AskingARegistry() {
    Settings settings;
    rpc::ServerConfig server_config;
    server_config.declare(settings);
    client_config_.declare(settings, "device-registry");
    EXPECT_TRUE(
        settings.load("grpc_listen: 127.0.0.1:0\ndevice_registry_address: 127.0.0.1:1\n", {}));
    server_ = std::make_unique<rpc::Server>(server_config, crypto::TlsIdentity(), clock_, random_,
                                            log_, metrics_);
  }
  void start() {
    EXPECT_TRUE(server_->start());
    client_config_.address = server_->address();
    client_config_.timeout = kDeadline;
    channel_ =
        *rpc::Channel::open(client_config_, crypto::TlsIdentity(), clock_, random_, log_, metrics_);
    authenticator_ = std::make_unique<RegistryAuthenticator>(
        RegistryAuthenticator::Patience{
            .unknown = kDeadline, .known = kDeadline, .behind = std::chrono::milliseconds(1)},
        *channel_, cache_, revoked_, IdentityOptions{.topics = topics_}, time_, random_, metrics_);
    handle_ = authenticator_->for_loop([](std::move_only_function<void()> task) { task(); });
  }
  /// Before the test's registry is gone.
  void TearDown() override {
    channel_->stop();
    server_->stop();
  }

  Answer ask(device::v1::AuthenticateRequest question) {
    auto promise = std::make_shared<std::promise<Result<Authenticator::Verdict>>>();
    handle_->authenticate(std::move(question), [promise](Result<Authenticator::Verdict> verdict) {
      promise->set_value(std::move(verdict));
    });
    return promise->get_future();
  }

  SystemClock clock_;
  sluice::testing::SimClock time_;
  SystemRandom random_;
  Registry metrics_;
  std::shared_ptr<sluice::testing::CapturedLog> lines_ =
      std::make_shared<sluice::testing::CapturedLog>();
  Logger log_ = lines_->logger("test", clock_);
  ingest::TopicMap topics_;
  IdentityCache cache_{IdentityCache::Settings{}};
  RevokedCertificates revoked_{clock_};
  rpc::ClientConfig client_config_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<rpc::Channel> channel_;
  std::unique_ptr<RegistryAuthenticator> authenticator_;
  std::unique_ptr<Authenticator> handle_;
};

}  // namespace sluice::front
