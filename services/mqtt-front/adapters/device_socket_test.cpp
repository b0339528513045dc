// How a socket learns that its client has left: one loop, a real connection, fakes behind the
// broker.
#include "adapters/front_loop.h"
#include "testing/fake_ports.h"

#include <algorithm>
#include <array>
#include <deque>
#include <format>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sluice/base/planted_bug.h>
#include <sluice/base/random.h>
#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/metrics/metrics.h>
#include <sluice/mqtt/encoder.h>
#include <sluice/testing/eventually.h>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;

/// A client without TLS, which blocks.
class PlainDevice {
 public:
  explicit PlainDevice(const std::string& address)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    name.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    EXPECT_EQ(::connect(socket_.fd(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  }

  /// Without a keep-alive, so that nothing but the end of the stream tells of the end.
  void send_connect(std::string_view id) {
    mqtt::Output bytes;
    encode(mqtt::Connect{.version = mqtt::Version::kV311, .client_id = id}, bytes);
    send(bytes);
  }
  void send_message() {
    mqtt::Output bytes;
    encode(mqtt::Publish{.topic = "t"}, mqtt::Version::kV311, bytes);
    send(bytes);
  }
  void send_disconnect() {
    mqtt::Output bytes;
    encode(mqtt::Disconnect{}, mqtt::Version::kV311, bytes);
    send(bytes);
  }
  bool is_accepted() {
    std::array<char, 4> connack{};
    return ::recv(socket_.fd(), connack.data(), connack.size(), MSG_WAITALL) == 4 &&
           connack[3] == 0;
  }
  bool is_at_end() {
    char byte{};
    return ::recv(socket_.fd(), &byte, 1, 0) == 0;
  }
  void leave() { socket_.close(); }

 private:
  void send(const mqtt::Output& bytes) {
    EXPECT_EQ(::send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

  net::Socket socket_;
};

class DeviceSockets : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.is_conformance_profile = true;  // lets anybody in
    plans_.push_back({.name = "mqtt", .address = "127.0.0.1:0"});
    loop_ = *FrontLoop::create(
        {.clock = clock_, .registry = registry_, .plans = plans_, .admission = admission_});
    auto sink = std::make_unique<KafkaSink>(kafka_.producer(), 1000, 10);
    const Broker::Ports ports{.clock = loop_->clock(),
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
                              .admission = admission_,
                              .tenant_buckets = buckets_,
                              .tenant_limits = limits_};
    loop_->attach(std::move(sink), std::make_unique<Broker>(options_, ports), {loop_.get()});
    const auto listening = loop_->listen(plans_);
    ASSERT_TRUE(listening) << listening.error().message();
    loop_->start();
  }
  void TearDown() override {
    loop_->stop();
    tasks_.run();
    loop_->detach();
  }

  const std::string& address() const { return plans_[0].address; }
  /// Runs `work` on the loop and returns when it is done.
  void on_loop(std::move_only_function<void()> work) {
    std::promise<void> done;
    loop_->post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  void let_in(PlainDevice& device, std::string_view id = "meter") {
    device.send_connect(id);
    ASSERT_TRUE(eventually([this] { return has_claimed(); }));
    on_loop([this] { tasks_.run(); });
    ASSERT_TRUE(device.is_accepted());
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
  bool has_ended(const std::string& why) {
    return std::ranges::contains(ends(), "ended /meter " + why);
  }
  /// Connections that ended, the first one first.
  std::vector<std::string> ends() {
    std::vector<std::string> found;
    on_loop([&] {
      std::ranges::copy_if(observer_.events, std::back_inserter(found),
                           [](const auto& event) { return event.starts_with("ended "); });
    });
    return found;
  }
  /// A crowd leaves, and then one says goodbye, all within one turn of the loop.
  std::vector<std::string> ends_of_a_crowd_and_of_one_behind_it() {
    std::deque<PlainDevice> crowd;
    for (int i = 0; i < 100; ++i) let_in(crowd.emplace_back(address()), std::format("d{}", i));
    PlainDevice one(address());
    let_in(one);
    {
      const auto held = hold_loop();
      for (PlainDevice& device : crowd) device.leave();
      one.send_disconnect();
    }
    EXPECT_TRUE(eventually([this] { return ends().size() == 101; }));
    return ends();
  }

 private:
  bool has_claimed() {
    bool found = false;
    on_loop([&] { found = tasks_.size() > 0; });
    return found;
  }

  Options options_;
  std::vector<ListenerPlan> plans_;
  SystemClock clock_;
  SystemRandom random_;
  Registry registry_;
  FrontMetrics metrics_{registry_};
  ingest::TopicMap topics_;
  TenantBucketTable buckets_;
  TenantLimits::Settings limits_;
  ConnectionAdmission admission_{{}};
  Routes routes_{1000, random_};
  RetainedMessages retained_{{}, random_};
  Tasks tasks_;
  FakeAuthenticator authenticator_{tasks_};
  FakeStore store_{tasks_};
  FakeNeighbours neighbours_{tasks_};
  FakeObserver observer_;
  sluice::testing::FakeKafka kafka_{clock_};
  std::unique_ptr<FrontLoop> loop_;
};

TEST_F(DeviceSockets, EndWithAClientThatLeavesInTheMomentOfItsLastMessage) {
  PlainDevice device(address());
  let_in(device);
  {
    const auto held = hold_loop();
    device.send_message();  // which has no answer that could fail
    device.leave();
  }
  EXPECT_TRUE(eventually([this] { return has_ended("closed_by_client"); }));
}

TEST_F(DeviceSockets, ThatOverlookTheEndOfTheirClientWouldBeSeen) {
  const ScopedPlantedBug bug("front_overlooks_the_end");
  PlainDevice device(address());
  let_in(device);
  {
    const auto held = hold_loop();
    device.send_message();
    device.leave();
  }
  for (int turns = 0; turns < 3; ++turns) on_loop([] {});  // in which it has read the message
  EXPECT_FALSE(has_ended("closed_by_client"));
}

TEST_F(DeviceSockets, SeeOffACrowdBehindThoseWhoStay) {
  const auto ended = ends_of_a_crowd_and_of_one_behind_it();
  EXPECT_EQ(ended.front(), "ended /meter client_disconnect");
}

TEST_F(DeviceSockets, ThatSeeOffACrowdFirstWouldBeSeen) {
  const ScopedPlantedBug bug("front_lets_all_leave_at_once");
  const auto ended = ends_of_a_crowd_and_of_one_behind_it();
  EXPECT_EQ(ended.back(), "ended /meter client_disconnect");
}

TEST_F(DeviceSockets, CloseBehindAClientThatSaysGoodbye) {
  PlainDevice device(address());
  let_in(device);
  device.send_disconnect();
  EXPECT_TRUE(device.is_at_end());
  EXPECT_TRUE(has_ended("client_disconnect"));
}

}  // namespace
}  // namespace sluice::front::testing
