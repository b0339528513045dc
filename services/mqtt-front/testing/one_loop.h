#pragma once

#include "adapters/front_loop.h"
#include "testing/fake_ports.h"
#include "testing/plain_device.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sluice/base/random.h>
#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/metrics/metrics.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/shifted_clock.h>

#include <gtest/gtest.h>

namespace sluice::front::testing {

/// One loop with real sockets and fakes behind its broker, which answer when a test runs tasks_ on
/// the loop.
class OneLoop : public ::testing::Test {
 protected:
  struct Setup {
    Options options{};
    std::vector<ListenerPlan> plans{{.name = "mqtt", .address = "127.0.0.1:0"}};
    ConnectionAdmission::Settings admission{};
    FindPsk find_psk{};
    std::size_t record_room = 1000;  // records under way to Kafka at most
    std::size_t loops = 1;           // whoever belongs to another one moves to this all the same
  };

  void start(Setup setup) {
    options_ = std::move(setup.options);
    plans_ = std::move(setup.plans);
    admission_.emplace(setup.admission);
    loop_ = *FrontLoop::create({.clock = clock_,
                                .registry = registry_,
                                .plans = plans_,
                                .admission = *admission_,
                                .find_psk = std::move(setup.find_psk)});
    auto producer =
        kafka_.producer({.max_in_flight_records = static_cast<std::int64_t>(setup.record_room)});
    auto sink = std::make_unique<KafkaSink>(std::move(producer), setup.record_room, 10);
    auto broker = std::make_unique<Broker>(options_, Broker::Ports{.clock = loop_->clock(),
                                                                   .random = random_,
                                                                   .sink = *sink,
                                                                   .authenticator = authenticator_,
                                                                   .store = store_,
                                                                   .neighbours = neighbours_,
                                                                   .routes = routes_,
                                                                   .retained = retained_,
                                                                   .observer = observer_,
                                                                   .metrics = metrics_,
                                                                   .topics = topics_,
                                                                   .admission = *admission_,
                                                                   .tenant_buckets = buckets_,
                                                                   .tenant_limits = limits_,
                                                                   .loops = setup.loops});
    loop_->attach(std::move(sink), std::move(broker), {setup.loops, loop_.get()});
    const auto listening = loop_->listen(plans_);
    ASSERT_TRUE(listening) << listening.error().message();
    loop_->start();
  }
  void TearDown() override {
    kafka_.hold_acks(false);
    loop_->stop();
    tasks_.run();
    loop_->detach();
    loop_.reset();  // before what is derived from this, such as the TLS of its listeners
  }

  const std::string& address(std::size_t plan = 0) const { return plans_[plan].address; }

  /// Runs `work` on the loop and returns when it is done.
  void on_loop(std::move_only_function<void()> work) {
    std::promise<void> done;
    loop_->post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  /// Returns when all that was posted or sent before has been done or read.
  void settle() {
    for (int turns = 0; turns < 3; ++turns) on_loop([] {});
  }
  void put_forward(std::chrono::seconds by) {
    clock_.put_forward(by);
    settle();  // it may be asleep
  }
  /// The loop does nothing until the result is destroyed: what clients do meanwhile, it learns in
  /// one event.
  std::shared_ptr<void> hold_loop() {
    auto release = std::make_shared<std::promise<void>>();
    std::promise<void> holds;
    loop_->post([&holds, waits = release->get_future()]() mutable {
      holds.set_value();
      waits.wait();
    });
    holds.get_future().wait();
    return {nullptr, [release](void*) { release->set_value(); }};
  }

  /// Until the store is asked for its session.
  void connect(PlainDevice& device, const PlainDevice::Hello& hello = {}) {
    on_loop([this] { store_.calls.clear(); });
    device.send_connect(hello);
    ASSERT_TRUE(sluice::testing::eventually([this] { return has_claimed(); }));
  }
  void let_in(PlainDevice& device, const PlainDevice::Hello& hello = {}) {
    connect(device, hello);
    on_loop([this] { tasks_.run(); });
    ASSERT_TRUE(device.is_accepted());
  }
  /// Connections that have no CONNACK yet.
  std::size_t under_way() const { return admission_->handshakes(); }
  /// "ended tenant/device reason" of each connection, the first one first.
  std::vector<std::string> ends() {
    std::vector<std::string> found;
    on_loop([&] {
      std::ranges::copy_if(observer_.events, std::back_inserter(found),
                           [](const auto& event) { return event.starts_with("ended "); });
    });
    return found;
  }
  /// Whether that of the client "meter" is among them.
  bool has_ended(const std::string& why) {
    return std::ranges::contains(ends(), "ended /meter " + why);
  }

  sluice::testing::ShiftedClock clock_;
  Registry registry_;
  sluice::testing::FakeKafka kafka_{clock_};
  Tasks tasks_;  // the loop's
  FakeAuthenticator authenticator_{tasks_};
  FakeStore store_{tasks_};
  ingest::TopicMap topics_;
  std::unique_ptr<FrontLoop> loop_;

 private:
  bool has_claimed() {
    bool found = false;
    on_loop([&] {
      if (store_.calls.empty()) tasks_.run_one();  // who it is
      found = !store_.calls.empty();
    });
    return found;
  }

  SystemRandom random_;
  FakeNeighbours neighbours_{tasks_};
  FakeObserver observer_;
  FrontMetrics metrics_{registry_};
  Routes routes_{1000, random_};
  RetainedMessages retained_{{}, random_};
  TenantBucketTable buckets_;
  TenantLimits::Settings limits_;
  std::optional<ConnectionAdmission> admission_;
  Options options_;
  std::vector<ListenerPlan> plans_;
};

}  // namespace sluice::front::testing
