#pragma once

#include "adapters/loop_post.h"
#include "adapters/session_store_config.h"
#include "ports.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <sluice/metrics/metrics.h>

#include <gtest/gtest.h>

/// What every SessionStore must do. The test program of each links it and says
/// INSTANTIATE_TEST_SUITE_P(Memory, SessionStoreContract, ::testing::Values(make_memory)).
namespace sluice::front::testing {

/// A thread that runs what is posted to it, as a front's loop does.
class TestLoop {
 public:
  TestLoop();
  ~TestLoop();
  LoopPost post();
  bool is_this_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  void run();

  std::mutex mutex_{};
  std::condition_variable changed_{};
  std::deque<std::move_only_function<void()>> tasks_{};
  bool is_stopping_ = false;
  std::thread thread_{};
};

/// Keeps what a store told its front.
class RecordingListener final : public SessionStoreListener {
 public:
  void on_wide_put(const SessionStore::WideSubscription& subscription) override;
  void on_wide_removed(const SessionKey& key, std::string_view filter,
                       std::string_view group) override;
  void on_retained_put(const mqtt::MessagePtr& message) override;
  void on_retained_removed(std::string_view topic) override;
  void on_will_due(const SessionKey& key, StoredWill will) override;
  void on_session_ended(const SessionKey& key, std::vector<mqtt::Delivery> shared) override;
  void on_lease(bool is_valid, bool sessions_lost) override;
  void on_fenced(const SessionKey& key, Epoch epoch) override;

  /// "key group filter" of each, in order.
  std::set<std::string> wide() const;
  std::map<std::string, std::string> retained() const;  // payload by topic
  std::vector<std::string> wills() const;               // "key payload", in order of arrival
  std::vector<StoredWill> whole_wills() const;
  /// What was left of ended sessions, in order of arrival; all of them were of the test's session.
  std::vector<mqtt::Delivery> ended() const;
  /// "valid", "uncertain" or "lost", in order of arrival.
  std::vector<std::string> leases() const;
  std::vector<std::string> fenced() const;

 private:
  mutable std::mutex mutex_{};
  std::set<std::string> wide_{};
  std::map<std::string, std::string> retained_{};
  std::vector<std::string> wills_{};
  std::vector<StoredWill> whole_wills_{};
  std::vector<mqtt::Delivery> ended_{};
  std::vector<std::string> leases_{};
  std::vector<std::string> fenced_{};
};

/// One front: its loop, what it was told, and its way to the store.
class FrontUnderTest {
 public:
  virtual ~FrontUnderTest() = default;
  virtual SessionStore& store() = 0;
  virtual const FrontId& id() const = 0;
  virtual TestLoop& loop() = 0;
  /// Of the store: its own, or all fronts' together.
  virtual Registry& metrics() = 0;
  RecordingListener& listener() { return listener_; }
  /// Whether the front has heard of what it retains when that is answered: durable stores see to
  /// it.
  bool is_told_first() { return store().is_durable(); }

 private:
  RecordingListener listener_{};
};

/// An empty store that fronts can be started on.
class SessionStoreUnderTest {
 public:
  virtual ~SessionStoreUnderTest() = default;
  /// Returns once the front may claim.
  virtual std::unique_ptr<FrontUnderTest> start_front() = 0;
  /// As SIGKILL does.
  virtual void kill(FrontUnderTest& front) = 0;
  /// Lets this much of the store's time pass, or as good as.
  virtual void pass(std::chrono::milliseconds time) = 0;
  /// Makes wills that are due and changes of tables move, where nobody else does.
  virtual void step() = 0;
};

using MakeSessionStore = std::unique_ptr<SessionStoreUnderTest> (*)(const SessionStoreConfig&);

/// Small bounds, short times.
SessionStoreConfig contract_config();

class SessionStoreContract : public ::testing::TestWithParam<MakeSessionStore> {
 protected:
  using Release = SessionStore::Release;
  using ClaimRequest = SessionStore::ClaimRequest;

  SessionStoreContract();

  /// Asks and waits for the answer; checks that it comes on the front's loop.
  Result<SessionStore::ClaimOutcome> try_claim(FrontUnderTest& front, ClaimRequest request,
                                               const SessionKey& key);
  SessionStore::Claim claim(FrontUnderTest& front, ClaimRequest request);
  SessionStore::Claim claim(FrontUnderTest& front) { return claim(front, {.expiry_seconds = 100}); }
  Result<> release(FrontUnderTest& front, Epoch epoch, Release release);
  Result<SessionStore::Place> locate(FrontUnderTest& front);
  Result<> retain(FrontUnderTest& front, const std::string& topic, const std::string& payload);
  Result<> enqueue(FrontUnderTest& front, const std::string& payload);
  Result<> enqueue(FrontUnderTest& front, const mqtt::Delivery& delivery);
  /// What both fronts were given of ended sessions: payloads, in order.
  std::vector<std::string> ended() const;
  /// Has the store keep this, written one by one where it is durable, and lets go.
  void keep(FrontUnderTest& front, Epoch epoch, StoredSession session,
            std::uint32_t expiry_seconds = 100);
  /// The deadline is long because a store whose answer is lost on the way hands out again only
  /// after half a minute.
  bool eventually(const std::function<bool()>& holds);

  SessionStoreConfig config = contract_config();
  std::unique_ptr<SessionStoreUnderTest> under_test = GetParam()(config);
  std::unique_ptr<FrontUnderTest> one = under_test->start_front();
  std::unique_ptr<FrontUnderTest> two = under_test->start_front();
  const SessionKey key{"blue/d1"};
};

mqtt::MessagePtr message_of(std::string topic, std::string payload);
mqtt::Delivery delivery_of(std::uint64_t sequence, std::string payload, std::uint16_t packet_id = 0,
                           mqtt::Delivery::State state = mqtt::Delivery::State::kWaiting);
/// One that came by a shared subscription.
mqtt::Delivery shared_of(std::uint64_t sequence, std::string payload, mqtt::Qos qos,
                         mqtt::Delivery::State state = mqtt::Delivery::State::kWaiting);
StoredWill will_of(std::string payload, std::chrono::seconds delay);
std::vector<std::string> payloads_of(const StoredSession& session);

/// Waits for what a call answers, on the thread of the test.
template <typename T>
Result<T> wait_for(TestLoop& loop, const std::function<void(Done<T>)>& call) {
  struct Waiter {
    std::mutex mutex{};
    std::condition_variable changed{};
    std::optional<Result<T>> result{};
  };
  // Shared with an answer that comes after the test has failed by waiting too long.
  auto waiter = std::make_shared<Waiter>();
  std::unique_lock lock(waiter->mutex);  // an answer from within the call would deadlock: a fault
  loop.post()([waiter, &call, &loop] {
    call([waiter, &loop](Result<T> result) {
      EXPECT_TRUE(loop.is_this_thread());
      const std::lock_guard answered(waiter->mutex);
      waiter->result.emplace(std::move(result));
      waiter->changed.notify_all();
    });
  });
  if (!waiter->changed.wait_for(lock, std::chrono::seconds(30),
                                [&] { return waiter->result.has_value(); })) {
    return fail(ErrorCode::kDeadlineExceeded, "the store did not answer");
  }
  return *std::move(waiter->result);
}

}  // namespace sluice::front::testing
