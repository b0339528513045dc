#pragma once

#include "core/broker.h"
#include "core/identity.h"
#include "ports.h"

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// Honest stand-ins for the ports of the core: they answer as the real ones do, never from within
/// the call that asks, and keep what they were told.
namespace sluice::front::testing {

/// What a loop still has to do: answers of ports wait here until the test lets them come.
class Tasks {
 public:
  void post(std::move_only_function<void()> task) { tasks_.push_back(std::move(task)); }
  /// Runs everything, also what is posted meanwhile.
  void run();
  /// Runs the oldest alone; false when there is none.
  bool run_one();
  std::size_t size() const { return tasks_.size(); }

 private:
  std::deque<std::move_only_function<void()>> tasks_{};
};

/// Takes records; what becomes of them the test says.
class FakeSink final : public RecordSink {
 public:
  struct Taken {
    std::string topic{};
    std::string key{};
    std::string value{};
    std::uint64_t token = 0;
    bool is_answered = false;  // whoever plays Kafka has said what became of it
  };
  Result<> try_append(const Record& record, std::uint64_t token) override;
  std::int32_t partition_of(std::string_view, std::string_view) override { return 3; }
  bool is_full() const override { return room == 0; }

  std::size_t room = 1'000'000;
  std::optional<ErrorCode> refuses{};
  std::vector<Taken> records{};
};

/// Knows the identities it was given, by the name that a device claims.
class FakeAuthenticator final : public Authenticator {
 public:
  explicit FakeAuthenticator(Tasks& tasks) : tasks_(tasks) {}
  void authenticate(device::v1::AuthenticateRequest request, Done<Verdict> done) override;

  bool has_changed(const Identity&, std::uint64_t since) const override {
    return changed_at > since;
  }

  std::map<std::string, IdentityPtr> identities{};
  bool is_unavailable = false;
  std::uint64_t position = 0;    // of its verdicts
  std::uint64_t changed_at = 0;  // when all of them became untrue
  std::vector<device::v1::AuthenticateRequest> requests{};

 private:
  Tasks& tasks_;
};

/// A session store of one process, as durable as it is told to be. Several fronts may use it by
/// way of foreign_claim().
class FakeStore final : public SessionStore {
 public:
  explicit FakeStore(Tasks& tasks) : tasks_(tasks) {}

  bool is_durable() const override { return durable; }
  void claim(const SessionKey& key, ClaimRequest request, Done<ClaimOutcome> done) override;
  void release(const SessionKey& key, Epoch epoch, Release release, Done<void> done) override;
  void put_subscription(const SessionKey& key, Epoch epoch, const StoredSubscription& subscription,
                        Done<void> done) override;
  void remove_subscription(const SessionKey& key, Epoch epoch, std::string_view filter,
                           std::string_view group, Done<void> done) override;
  void put_delivery(const SessionKey& key, Epoch epoch, const mqtt::Delivery& delivery,
                    Done<void> done) override;
  void update_delivery(const SessionKey& key, Epoch epoch, const mqtt::Delivery& delivery) override;
  void remove_delivery(const SessionKey& key, Epoch epoch, std::uint64_t sequence) override;
  void put_inbound(const SessionKey& key, Epoch epoch, std::uint16_t packet_id,
                   Done<void> done) override;
  void remove_inbound(const SessionKey& key, Epoch epoch, std::uint16_t packet_id,
                      Done<void> done) override;
  void locate(const SessionKey& key, Done<Place> done) override;
  void remove_ended(const SessionKey& key, std::uint64_t sequence) override;
  void enqueue(const SessionKey& key, const mqtt::Delivery& delivery, Done<void> done) override;
  void put_wide(const SessionKey& key, Epoch epoch, const StoredSubscription& subscription,
                Done<void> done) override;
  void remove_wide(const SessionKey& key, std::string_view filter, std::string_view group,
                   Done<void> done) override;
  void put_retained(const mqtt::MessagePtr& message, WhenAway when_away, Done<void> done) override;
  void remove_retained(std::string_view topic, WhenAway when_away, Done<void> done) override;

  struct Entry {
    bool is_owned = false;
    std::optional<Owned> foreign_owner{};
    Epoch epoch{};
    std::uint32_t expiry_seconds = 0;
    StoredSession session{};
    std::optional<StoredWill> will{};
  };

  /// Another front takes the session; `epoch` rises, so that ours is fenced.
  void foreign_claim(const SessionKey& key);
  void foreign_release(const SessionKey& key);
  /// The session's expiry is over.
  void expire(const SessionKey& key);
  /// The will's delay is over.
  StoredWill take_will(const SessionKey& key);
  /// What a real store tells its listener.
  std::function<void(const SessionKey&, const std::vector<mqtt::Delivery>&)> on_ended{};
  std::function<void(const mqtt::MessagePtr&)> on_retained_put{};
  std::function<void(const std::string&)> on_retained_removed{};

  bool durable = false;
  /// Calls of this name fail with this error.
  std::map<std::string, Error> failures{};
  /// These do all the same what was asked: their answers alone are lost.
  bool does_what_fails = false;
  std::map<SessionKey, Entry> entries{};
  std::map<std::string, std::string> wide{};  // "key filter" -> group
  std::map<std::string, std::string> retained{};
  std::vector<std::string> retained_later{};  // topics that are tried again, the store being away
  std::size_t max_queued = 1000;
  std::size_t answers_due = 0;  // asked and not answered yet
  std::vector<std::string> calls{};

 private:
  template <typename T>
  void answer(const std::string& call, Done<T> done, std::function<Result<T>()> work);
  Result<Entry*> owned_entry(const SessionKey& key, Epoch epoch);
  Done<void> later_if(WhenAway when_away, const std::string& topic, Done<void> done);
  /// Hands out what may be given on of a session that has ended.
  void give_up(const SessionKey& key, StoredSession session);

  Tasks& tasks_;
  std::uint64_t last_epoch_ = 0;
};

/// The rest of the world, which answers as it is told.
class FakeNeighbours final : public Neighbours {
 public:
  explicit FakeNeighbours(Tasks& tasks) : tasks_(tasks) {}
  void deliver(const SessionKey& key, Parcel parcel, Done<Outcome> done) override;
  void forward(const SessionStore::Owned& owner, const SessionKey& key, Parcel parcel,
               Done<Outcome> done) override;
  void release(const SessionStore::Owned& owner, const SessionKey& key, Done<void> done) override;
  void reset_profile(Done<void> done) override;

  std::size_t resets = 0;
  std::optional<Outcome> answers{};                        // of those delivered, unless kDelivered
  std::vector<std::pair<SessionKey, Parcel>> delivered{};  // to other loops
  std::vector<std::pair<SessionKey, Parcel>> forwarded{};  // to other fronts
  std::size_t not_here = 0;  // so many of the next forwarded ones find no session there
  std::vector<SessionKey> released{};
  std::function<void(const SessionKey&)> on_release{};  // what the other front does
  bool holds_sessions = true;  // the other front; false: it says that it holds none
  bool is_busy = false;        // there the session waits for Kafka

 private:
  Tasks& tasks_;
};

/// Keeps what happened, a line each.
class FakeObserver final : public ClientObserver {
 public:
  void on_opened(const Client& client, std::uint64_t epoch, std::string_view protocol) override;
  void on_ended(const Client& client, std::uint64_t epoch, std::string_view reason) override;
  void on_refused(const Peer& peer, std::string_view client_id, mqtt::ReasonCode reason,
                  std::string_view what) override;

  std::vector<std::string> events{};
};

}  // namespace sluice::front::testing
