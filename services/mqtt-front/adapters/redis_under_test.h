#pragma once

#include "adapters/redis_session_store.h"
#include "adapters/redis_session_store_keys.h"
#include "testing/session_store_contract.h"

#include <chrono>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/testing/captured_log.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/fault_proxy.h>

/// Fronts on a real Redis, for tests of the store in it.
namespace sluice::front::testing {

using sluice::testing::require_env;
using sluice::testing::unique_name;

inline constexpr std::chrono::seconds kCommandTimeout{5};

inline redis::Config redis_config(bool is_cluster) {
  redis::Config config;
  config.url = is_cluster ? "redis://" + require_env("SLUICE_TEST_REDIS_CLUSTER")
                          : require_env("SLUICE_TEST_REDIS_URL");
  config.mode = is_cluster ? "cluster" : "single";
  config.command_timeout = kCommandTimeout;
  config.max_pending = 10'000;
  return config;
}

/// A line to a Redis server that a test can cut.
class RedisLine {
 public:
  explicit RedisLine(redis::Config server) : config_(std::move(server)) {
    constexpr std::string_view kScheme = "redis://";
    proxy_ =
        sluice::testing::FaultProxy::start({.target = config_.url.substr(kScheme.size())}).value();
    config_.url = std::string(kScheme) + proxy_->address();
  }
  /// Whoever connects by it reaches the server by this line.
  redis::Config config(std::chrono::milliseconds command_timeout = kCommandTimeout) const {
    redis::Config config = config_;
    config.command_timeout = command_timeout;
    return config;
  }
  void cut() {
    proxy_->refuse_connections(true);
    proxy_->reset();
  }
  void heal() { proxy_->heal(); }
  std::uint64_t round_trips() const { return proxy_->stats().round_trips; }

 private:
  redis::Config config_;
  std::unique_ptr<sluice::testing::FaultProxy> proxy_;
};

/// A front with a store of its own, as a process has.
class RedisFront final : public FrontUnderTest {
 public:
  RedisFront(const SessionStoreConfig& config, redis::Config redis_config, const Clock& clock) {
    const Logger logger = log_->logger("test", clock);
    auto client = redis::Client::open(std::move(redis_config), system_, random_, registry, logger);
    if (!client) throw std::runtime_error(client.error().message());
    owned_ = std::make_unique<RedisSessionStore>(
        config, clock, registry, logger, *std::move(client),
        RedisSessionStore::Identity{.front = id_, .address = "address of " + id_.value()},
        listener());
    handle_ = owned_->for_loop(loop_.post());
    if (!sluice::testing::eventually(
            [&] { return owned_->lease_is_valid(clock.mono()) && owned_->is_loaded(); })) {
      throw std::runtime_error("the front has no lease");
    }
  }
  ~RedisFront() override { handle_.reset(); }
  SessionStore& store() override { return *handle_; }
  const FrontId& id() const override { return id_; }
  TestLoop& loop() override { return loop_; }
  Registry& metrics() override { return registry; }
  RedisSessionStore& whole() { return *owned_; }

  Registry registry;

 private:
  SystemClock system_;
  SystemRandom random_;
  std::shared_ptr<sluice::testing::CapturedLog> log_ =
      std::make_shared<sluice::testing::CapturedLog>();
  FrontId id_{unique_name("front")};
  TestLoop loop_;
  std::unique_ptr<RedisSessionStore> owned_;
  std::unique_ptr<SessionStore> handle_;
};

class RedisUnderTest final : public SessionStoreUnderTest {
 public:
  RedisUnderTest(const SessionStoreConfig& config, bool is_cluster)
      : config_(config), redis_(redis_config(is_cluster)) {
    config_.key_prefix = unique_name("t") + ":";
  }
  std::unique_ptr<FrontUnderTest> start_front() override {
    return std::make_unique<RedisFront>(config_, redis_, clock);
  }
  void kill(FrontUnderTest& front) override { dynamic_cast<RedisFront&>(front).whole().abandon(); }
  void pass(std::chrono::milliseconds) override {}  // the server's own time goes by
  void step() override {}

  /// The test's own.
  redis::Client& client() {
    if (!client_) {
      auto opened =
          redis::Client::open(redis_, clock, random_, registry_, log_->logger("test", clock));
      if (!opened) throw std::runtime_error(opened.error().message());
      client_ = *std::move(opened);
    }
    return *client_;
  }
  /// A command of that client.
  redis::Reply ask(const std::string& of_key, std::initializer_list<std::string_view> words) {
    auto reply = client().call(redis::Command::on_key(of_key, words));
    EXPECT_TRUE(reply) << reply.error().message();
    return reply ? *std::move(reply) : redis::Reply::nil();
  }
  const SessionStoreConfig& config() const { return config_; }
  const redis::Config& redis() const { return redis_; }
  RedisKeys keys() const { return RedisKeys(config_.key_prefix); }

  SystemClock clock;

 private:
  SessionStoreConfig config_;
  redis::Config redis_;
  SystemRandom random_;
  Registry registry_;
  std::shared_ptr<sluice::testing::CapturedLog> log_ =
      std::make_shared<sluice::testing::CapturedLog>();
  std::unique_ptr<redis::Client> client_;
};

inline std::unique_ptr<SessionStoreUnderTest> make_single(const SessionStoreConfig& config) {
  return std::make_unique<RedisUnderTest>(config, false);
}
inline std::unique_ptr<SessionStoreUnderTest> make_cluster(const SessionStoreConfig& config) {
  return std::make_unique<RedisUnderTest>(config, true);
}

class RedisSessionStoreTest : public SessionStoreContract {
 protected:
  RedisUnderTest& redis() { return dynamic_cast<RedisUnderTest&>(*under_test); }
  static RedisSessionStore& whole(FrontUnderTest& front) {
    return dynamic_cast<RedisFront&>(front).whole();
  }
  template <typename Call>
  Result<> change(FrontUnderTest& front, Call call) {
    return wait_for<void>(front.loop(),
                          [&](Done<void> done) { call(front.store(), std::move(done)); });
  }
  Result<> put_delivery(FrontUnderTest& front, Epoch epoch, const mqtt::Delivery& delivery) {
    return change(front, [&](SessionStore& store, Done<void> done) {
      store.put_delivery(key, epoch, delivery, std::move(done));
    });
  }
  /// As FLUSHALL would, for this test's keys alone: the server is shared.
  void lose_everything() {
    const RedisKeys keys = redis().keys();
    auto all = keys.session(key);
    for (const char* mirror : {"wide", "retained"}) {
      for (const auto& name : keys.mirror(mirror)) all.push_back(name);
    }
    for (FrontUnderTest* front : {one.get(), two.get()}) {
      all.push_back(keys.front_wills(front->id().value()));
      all.push_back(keys.lease(front->id().value()));
    }
    all.push_back(keys.fronts());
    all.push_back(keys.due_wills());
    for (const auto& name : all) redis().ask(name, {"DEL", name});
  }
};

}  // namespace sluice::front::testing
