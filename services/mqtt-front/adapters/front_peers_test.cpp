#include "adapters/front_peers.h"

#include "adapters/grpc_door.h"
#include "testing/door_front.h"

#include <atomic>
#include <future>
#include <optional>

#include <sluice/grpc/config.h>
#include <sluice/grpc/server.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/shifted_clock.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front {
namespace {

using namespace std::chrono_literals;
using Outcome = Neighbours::Outcome;
using sluice::testing::eventually;
using testing::DoorFront;

template <typename T>
ErrorCode code_of(const Result<T>& result) {
  return result ? ErrorCode::kUnknown : result.error().code();
}

template <typename T>
std::string reason_of(const Result<T>& result) {
  return result ? "none" : result.error().reason();
}

/// What came, or did not yet.
template <typename T>
class Awaited {
 public:
  Done<T> done() {
    return [promise = promise_](Result<T> answer) { promise->set_value(std::move(answer)); };
  }
  bool has_come() { return future_.wait_for(0s) == std::future_status::ready; }
  Result<T> get() { return future_.get(); }

 private:
  // Owned here and by the answer to come.
  std::shared_ptr<std::promise<Result<T>>> promise_ = std::make_shared<std::promise<Result<T>>>();
  std::future<Result<T>> future_ = promise_->get_future();
};

Parcel parcel_of(const std::string& device, const std::string& payload) {
  mqtt::Message message{.topic = "tenant/acme/device/" + device + "/commands/c1",
                        .payload = payload,
                        .qos = mqtt::Qos::kAtLeastOnce};
  return {.delivery = {.message = std::make_shared<const mqtt::Message>(std::move(message)),
                       .qos = mqtt::Qos::kAtLeastOnce}};
}

/// A front that asks and another one behind a door on loopback.
class PeersTest : public ::testing::Test {
 protected:
  ~PeersTest() override {
    other_.release();
    if (peers_) peers_->stop();
    if (server_) server_->stop();
  }

  void open(const FrontPeers::Settings& settings = far()) {
    Settings loaded;
    rpc::ServerConfig config;
    config.declare(loaded);
    ASSERT_TRUE(loaded.load("grpc_listen: 127.0.0.1:0\n", {}));
    server_ = std::make_unique<rpc::Server>(config, crypto::TlsIdentity(), clock_, random_, log_,
                                            other_.registry);
    door_ = std::make_unique<GrpcDoor>(GrpcDoor::Settings(), clock_, other_.topics,
                                       FrontLoops(other_.posts()), *server_, other_.registry);
    ASSERT_TRUE(server_->start());
    address_ = server_->address();
    peers_ = std::make_unique<FrontPeers>(settings, crypto::TlsIdentity(), clock_, random_, log_,
                                          own_.registry);
  }

  /// Timeouts that only the tests about them meet.
  static FrontPeers::Settings far() { return {.timeout = 60s, .release_timeout = 60s}; }

  Result<Outcome> deliver(const std::string& device, const std::string& payload) {
    Awaited<Outcome> answer;
    peers_->deliver(address_, DoorFront::key_of(device), parcel_of(device, payload), answer.done());
    return answer.get();
  }

  /// Until so many calls to other fronts have ended.
  void wait_for_calls(std::uint64_t calls) {
    constexpr const char* kMetric = "sluice_grpc_client_call_seconds";
    ASSERT_TRUE(eventually([&] {
      return own_.registry
                 .histogram(kMetric, help_of(kMetric), latency_buckets_seconds(),
                            {{"service", "mqtt-front"}})
                 .count() >= calls;
    }));
  }

  std::uint64_t count(const char* metric, const Labels& labels = {}) {
    return own_.registry.counter(metric, help_of(metric), labels).value();
  }
  std::string help_of(std::string_view metric) {
    for (const MetricInfo& info : own_.registry.describe()) {
      if (info.name == metric) return info.help;
    }
    ADD_FAILURE() << "no metric " << metric;
    return "";
  }

  sluice::testing::ShiftedClock clock_;
  SystemRandom random_;
  std::shared_ptr<sluice::testing::CapturedLog> lines_ =
      std::make_shared<sluice::testing::CapturedLog>();
  Logger log_ = lines_->logger("test", clock_);
  DoorFront own_{2, clock_};
  DoorFront other_{2, clock_};
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<GrpcDoor> door_;
  std::unique_ptr<FrontPeers> peers_;
  std::string address_;
};

TEST_F(PeersTest, HandsAMessageToASessionOfAnotherFront) {
  open();
  other_.connect("d1");
  const auto outcome = deliver("d1", "hello");
  ASSERT_TRUE(outcome) << outcome.error().message();
  EXPECT_EQ(*outcome, Outcome::kDelivered);
  EXPECT_TRUE(other_.was_sent("d1", "hello"));
}

TEST_F(PeersTest, SaysThatTheSessionIsNotThere) {
  open();
  const auto outcome = deliver("d1", "hello");
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(outcome.error().reason(), "not_here");
}

TEST_F(PeersTest, SaysThatTheSessionCouldNotKeepIt) {
  open();
  other_.refuse_deliveries();
  other_.connect("d1", {.session_expiry_seconds = 100, .receive_maximum = 1});
  EXPECT_EQ(deliver("d1", "sent").value_or(Outcome::kNobody), Outcome::kDelivered);
  const auto answer = deliver("d1", "behind it");
  EXPECT_EQ(code_of(answer), ErrorCode::kUnavailable);
  EXPECT_EQ(reason_of(answer), "not_stored");
  EXPECT_EQ(count("sluice_mqtt_peer_messages_not_here_total"), 0U);
}

TEST_F(PeersTest, FailsWhenTheOtherFrontIsGone) {
  open();
  server_->stop();
  EXPECT_EQ(code_of(deliver("d1", "hello")), ErrorCode::kUnavailable);
}

TEST_F(PeersTest, KeepsTheOrderAndFillsBatchesWhileACallIsUnderWay) {
  open();
  other_.connect("d1");
  other_.hold();
  std::vector<Awaited<Outcome>> answers(200);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    peers_->deliver(address_, DoorFront::key_of("d1"), parcel_of("d1", std::format("<{:03}>", i)),
                    answers[i].done());
  }
  other_.release();
  for (auto& answer : answers) EXPECT_TRUE(answer.get());
  const std::string sent = other_.output_of("d1");
  std::size_t last = 0;
  // The session has so many under way at most; the others wait for acknowledgements.
  for (int i = 0; i < 20; ++i) {
    const std::size_t at = sent.find(std::format("<{:03}>", i));
    ASSERT_NE(at, std::string::npos) << i;
    EXPECT_GE(at, last);
    last = at;
  }
  EXPECT_EQ(count("sluice_mqtt_peer_messages_total"), 200U);
  EXPECT_EQ(count("sluice_mqtt_peer_batches_total"), 2U);
}

TEST_F(PeersTest, RefusesWhatHasNoRoomInTheQueue) {
  auto settings = far();
  settings.max_queued = 2;
  open(settings);
  other_.hold();
  Awaited<Outcome> under_way, second, third, refused;
  const auto send = [&](Awaited<Outcome>& answer) {
    peers_->deliver(address_, DoorFront::key_of("d1"), parcel_of("d1", "x"), answer.done());
  };
  for (auto* answer : {&under_way, &second, &third, &refused}) send(*answer);
  const auto outcome = refused.get();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(outcome.error().reason(), "peer_queue_full");
  EXPECT_EQ(count("sluice_mqtt_peer_refused_total", {{"cause", "queue_full"}}), 1U);
  EXPECT_FALSE(third.has_come());
}

TEST_F(PeersTest, BoundsTheFrontsItKnowsAndForgetsThoseWithoutUse) {
  auto settings = far();
  settings.max_peers = 1;
  settings.unused_after = 60s;
  open(settings);
  other_.connect("d1");
  ASSERT_TRUE(deliver("d1", "first"));
  Awaited<Outcome> refused;
  peers_->deliver("127.0.0.1:9", DoorFront::key_of("d1"), parcel_of("d1", "x"), refused.done());
  EXPECT_EQ(reason_of(refused.get()), "too_many_fronts");

  // It looks at them when it has something else to do, too: a release that fails.
  EXPECT_TRUE(eventually([&] {
    peers_->release("127.0.0.1:9", DoorFront::key_of("d1"), Epoch(1), Awaited<void>().done());
    clock_.put_forward(61s);
    Awaited<Outcome> answer;
    peers_->deliver("127.0.0.1:9", DoorFront::key_of("d1"), parcel_of("d1", "x"), answer.done());
    return reason_of(answer.get()) != "too_many_fronts";
  }));
}

TEST_F(PeersTest, ReleasesASessionOfAnotherFront) {
  open();
  other_.connect("d1");
  Awaited<void> answer;
  peers_->release(address_, DoorFront::key_of("d1"), Epoch(1), answer.done());
  EXPECT_TRUE(answer.get());
  EXPECT_FALSE(other_.is_connected("d1"));
}

// Whoever asks claims again at once: without the pause it would do so as quickly as it can.
TEST_F(PeersTest, AReleaseThatFailsIsAnsweredOnlyWhenItsTimeIsOver) {
  open();
  server_->stop();
  Awaited<void> answer;
  peers_->release(address_, DoorFront::key_of("d1"), Epoch(1), answer.done());
  wait_for_calls(1);
  EXPECT_FALSE(answer.has_come());
  clock_.put_forward(61s);
  EXPECT_FALSE(answer.get());
}

TEST_F(PeersTest, AReleaseOfWhatIsNotHeldIsAnsweredAfterAPause) {
  auto settings = far();
  settings.not_held_pause = 3600s;
  open(settings);
  Awaited<void> answer;
  peers_->release(address_, DoorFront::key_of("d1"), Epoch(1), answer.done());
  wait_for_calls(1);
  EXPECT_FALSE(answer.has_come());
  clock_.put_forward(3601s);
  EXPECT_EQ(reason_of(answer.get()), "not_held");
}

TEST_F(PeersTest, StopAnswersWhatIsUnderWayWaitsAndComes) {
  open();
  other_.hold();
  Awaited<Outcome> under_way, waiting, later;
  Awaited<void> release, late_release;
  const auto key = DoorFront::key_of("d1");
  peers_->deliver(address_, key, parcel_of("d1", "x"), under_way.done());
  peers_->deliver(address_, key, parcel_of("d1", "x"), waiting.done());
  peers_->release(address_, key, Epoch(1), release.done());
  peers_->stop();
  EXPECT_TRUE(under_way.has_come());
  EXPECT_TRUE(waiting.has_come());
  EXPECT_TRUE(release.has_come());
  peers_->deliver(address_, key, parcel_of("d1", "x"), later.done());
  peers_->release(address_, key, Epoch(1), late_release.done());
  EXPECT_EQ(code_of(later.get()), ErrorCode::kCancelled);
  EXPECT_EQ(code_of(late_release.get()), ErrorCode::kCancelled);
}

class NeighboursTest : public PeersTest {
 protected:
  void SetUp() override {
    open();
    own_loop_ = 1 - own_.loop_of("d1");
    neighbours_.emplace(FrontLoops(own_.posts()), own_loop_, *peers_);
  }
  void TearDown() override { peers_->stop(); }

  /// Asks on the loop that owns the neighbours; the answer's thread is that loop's.
  template <typename T>
  Result<T> ask(std::move_only_function<void(Done<T>)> question) {
    Awaited<T> answer;
    std::thread::id asked_on, answered_on;
    own_.post(own_loop_, [&](Broker&) {
      asked_on = std::this_thread::get_id();
      question([&, done = answer.done()](Result<T> result) mutable {
        answered_on = std::this_thread::get_id();
        done(std::move(result));
      });
    });
    auto result = answer.get();
    EXPECT_EQ(asked_on, answered_on);
    return result;
  }

  std::size_t own_loop_ = 0;
  std::optional<LoopNeighbours> neighbours_;
};

TEST_F(NeighboursTest, HandsAMessageToTheLoopThatOwnsTheSession) {
  own_.connect("d1");
  const auto outcome = ask<Outcome>([&](Done<Outcome> done) {
    neighbours_->deliver(DoorFront::key_of("d1"), parcel_of("d1", "hello"), std::move(done));
  });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(*outcome, Outcome::kDelivered);
  EXPECT_TRUE(own_.was_sent("d1", "hello"));
}

TEST_F(NeighboursTest, HandsAMessageToTheFrontThatHoldsTheSession) {
  other_.connect("d1");
  const auto outcome = ask<Outcome>([&](Done<Outcome> done) {
    neighbours_->forward({.address = address_}, DoorFront::key_of("d1"), parcel_of("d1", "hello"),
                         std::move(done));
  });
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(other_.was_sent("d1", "hello"));
}

TEST_F(NeighboursTest, HasEveryOtherLoopReset) {
  std::string on_other;
  for (int i = 0; on_other.empty(); ++i) {
    const std::string device = "r" + std::to_string(i);
    if (own_.loop_of(device) != own_loop_) on_other = device;
  }
  own_.connect(on_other);
  EXPECT_TRUE(ask<void>([&](Done<void> done) { neighbours_->reset_profile(std::move(done)); }));
  EXPECT_FALSE(own_.is_connected(on_other));
}

TEST_F(NeighboursTest, HasAnotherFrontLetGoOfASession) {
  other_.connect("d1");
  EXPECT_TRUE(ask<void>([&](Done<void> done) {
    neighbours_->release({.address = address_, .epoch = Epoch(1)}, DoorFront::key_of("d1"),
                         std::move(done));
  }));
  EXPECT_FALSE(other_.is_connected("d1"));
}

TEST_F(NeighboursTest, APublishFindsItsWayToADeviceOfAnotherFront) {
  other_.connect("d1");
  LoopNeighbours of_owner(FrontLoops(own_.posts()), own_.loop_of("d1"), *peers_);
  own_.set_neighbours(own_loop_, *neighbours_);
  own_.set_neighbours(own_.loop_of("d1"), of_owner);
  own_.place(DoorFront::key_of("d1"),
             {.exists = true, .owner = SessionStore::Owned{.address = address_}});
  Awaited<FanOutCounts> counts;
  own_.post(own_loop_, [&](Broker& broker) {
    broker.publish("acme", parcel_of("d1", "from afar").delivery.message, counts.done());
  });
  const auto result = counts.get();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->delivered, 1U);
  EXPECT_TRUE(other_.was_sent("d1", "from afar"));
  peers_->stop();
}

TEST_F(NeighboursTest, BoundsWhatWaitsAtOtherLoops) {
  const SessionKey key = DoorFront::key_of("d1");
  const Parcel parcel = parcel_of("d1", "x");
  std::size_t answered = 0, refused = 0;
  Awaited<void> all;
  own_.post(own_loop_, [&](Broker&) {
    constexpr std::size_t kSent = LoopNeighbours::kMaxAway + 3;
    for (std::size_t i = 0; i < kSent; ++i) {
      neighbours_->deliver(key, parcel,
                           [&, done = all.done()](const Result<Outcome>& outcome) mutable {
                             if (!outcome && outcome.error().reason() == "loop_full") ++refused;
                             if (++answered == kSent) done({});
                           });
    }
    // Only an answer makes room, and those come on this loop: after this task.
  });
  EXPECT_TRUE(all.get());
  EXPECT_EQ(refused, 3U);
}

}  // namespace
}  // namespace sluice::front
