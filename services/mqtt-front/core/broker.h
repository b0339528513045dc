#pragma once

#include "core/admission.h"
#include "core/client.h"
#include "core/client_observer.h"
#include "core/device_change.h"
#include "core/device_records.h"
#include "core/front_metrics.h"
#include "core/options.h"
#include "core/retained_messages.h"
#include "core/routes.h"
#include "core/tenant_limits.h"
#include "ports.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/planted_bug.h>
#include <sluice/base/random.h>
#include <sluice/ingest/message_ids.h>
#include <sluice/ingest/topic_map.h>

namespace sluice::front {

/// A client on its way to the loop that owns its session: between CONNECT and CONNACK.
struct Departure {
  mqtt::Connection connection;
  mqtt::Output output{};
  Peer peer{};
  Arrival arrival{};
  IdentityPtr identity{};
  SessionKey key{};
};

/// Which loop owns a session: that of its key, so that a session has one thread for all its life
/// and two connections of one device can never race. By the hash of Kafka's partitions: records are
/// keyed by session, so that with twelve partitions and two loops the producer of each loop writes
/// to six of them, in half as many requests.
std::size_t loop_of(const SessionKey& key, std::size_t loops);

/// All clients and sessions of one loop. Single-threaded: its loop's.
class Broker {
 public:
  struct Ports {
    const Clock& clock;
    Random& random;
    RecordSink& sink;
    Authenticator& authenticator;
    SessionStore& store;
    Neighbours& neighbours;
    Routes& routes;              // shared by all loops
    RetainedMessages& retained;  // shared by all loops
    ClientObserver& observer;
    FrontMetrics& metrics;
    const ingest::TopicMap& topics;
    ConnectionAdmission& admission;     // shared by all loops
    TenantBucketTable& tenant_buckets;  // shared by all loops
    const TenantLimits::Settings& tenant_limits;
    std::size_t loop = 0;  // this one of `loops`
    std::size_t loops = 1;
  };
  Broker(const Options& options, const Ports& ports);
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  /// A new stream. The client lives until it has ended and everything it began has come back.
  Client& open(Link& link, Peer peer);

  /// Takes a client out that asked for it with Link::move_soon(); not from within a call of it.
  Departure depart(Client& client);
  Client& arrive(Link& link, Departure departure);
  void claim(Client& client);

  /// Of records that are no message of a client, such as events about it: nobody waits for what
  /// becomes of them.
  static constexpr std::uint64_t kEventToken = ~std::uint64_t{1};

  /// Such a record. Where there is no room it waits, as wills do, and in the order of the calls.
  void append_event(const RecordSink::Record& record);

  /// What became of a record.
  struct Stored {
    std::uint64_t token = 0;
    bool is_stored = false;
  };
  void on_stored(std::span<const Stored> stored);
  /// Offers again what had no room. Called after on_stored().
  void retry_records();
  /// Records without room, which retry_records() offers again.
  std::size_t waiting_records() const { return stalled_.size(); }
  /// What waits for time to pass: once in each turn of the loop, which is to take kDueInterval at
  /// most while something is due.
  void run_due();
  bool has_due() const { return !later_.empty() || !waiting_.empty() || !sweeps_.empty(); }
  static constexpr std::chrono::milliseconds kDueInterval{100};
  /// How long another front that asks for a session hears nothing: with kDueInterval and the way
  /// back less than it waits for an answer, FrontPeers::Settings::release_timeout.
  static constexpr std::chrono::milliseconds kMaxRelease{700};
  /// Sockets are not to be read.
  bool is_full() const {
    return (!stalled_.empty() || ports_.sink.is_full()) &&
           !SLUICE_PLANTED_BUG("front_ignores_full_sink");
  }

  /// A message from outside of any connection: gRPC, or a will. `done` may be called at once.
  void publish(std::string_view tenant, mqtt::MessagePtr message, Done<FanOutCounts> done);
  /// For a session of this loop: to its connection, or to its queue in the store.
  void deliver(const SessionKey& key, Parcel parcel, Done<Neighbours::Outcome> done);
  /// The same for another front, which believes that the session is held here. If it is not:
  /// kUnavailable with reason "not_here". It is not looked for, as two fronts that each believe it
  /// of the other would hand the message to and fro.
  void deliver_here(const SessionKey& key, Parcel parcel, Done<Neighbours::Outcome> done);

  /// Of this loop or another: see SessionStoreListener.
  void on_session_ended(const SessionKey& key, const std::vector<mqtt::Delivery>& shared);
  /// A will that comes from the store, as that of a connection is published at its end: to
  /// subscribers, and to Kafka where a publish of the device would go there.
  void publish_will(const SessionKey& key, StoredWill will);

  /// Ends the session's connection for another front; answers when nothing more will come of it, or
  /// after kMaxRelease with kFailedPrecondition and kSessionBusy.
  void release(const SessionKey& key, Epoch epoch, Done<bool> done);

  /// Ends connections by what the registry said of them; many of them little by little, since each
  /// comes back with a handshake.
  void on_change(const DeviceChange& change);
  /// A record of control.limits; nullptr: the tenant is back to what is configured.
  Result<> on_limit(std::string_view tenant, const limits::v1::LimitChange* change);
  /// Ends some connections, for draining; false when none is left.
  bool drain_some(std::size_t count, std::string_view server_reference);
  void begin_drain() { is_draining_ = true; }
  /// Everything at once: the lease is lost.
  void drop_all(std::string_view reason);
  /// One session has a later owner: its connection ends, and nothing more comes of it here.
  void fence(const SessionKey& key, Epoch epoch);

  /// What the conformance profile does for kResetTopic: nothing is left of this loop but `client`.
  void reset_profile(const Client* client);

  std::size_t clients() const { return clients_by_key_.size(); }
  /// Messages on their way that no client answers for: wills, and those of sessions that ended.
  std::size_t unattended() const { return unattended_; }
  /// Those as well that have not said who they are, or that have ended and wait for what they
  /// began.
  std::size_t streams() const { return slots_.size() - free_slots_.size(); }

 private:
  friend class Client;

  struct KeyOf {
    using is_transparent = void;
    std::size_t operator()(const Client* client) const;
    std::size_t operator()(const SessionKey& key) const;
  };
  struct SameKey {
    using is_transparent = void;
    bool operator()(const Client* a, const Client* b) const;
    bool operator()(const Client* a, const SessionKey& b) const;
    bool operator()(const SessionKey& a, const Client* b) const;
  };

  // Claiming a session: one client at a time holds it, one at most waits for it.
  void ask_store(Client& client, std::optional<SessionStore::Owned> not_held_by = {});
  void on_claimed(Client& client, Result<SessionStore::ClaimOutcome> outcome);
  /// The front that has the client's session was asked to let go of it.
  void on_asked_owner(Client& client, const SessionStore::Owned& owned, const Result<>& released);
  void on_ended(Client& client);
  void release_session(Client& client);
  void on_released(Client& client);
  /// One of the client's calls of the store has come back; settle() is to follow. False: it was
  /// fenced, nothing may be acknowledged any more.
  bool came_back(Client& client, const Result<>& done);
  /// The store cannot be told what it must know before the session is let go of: whoever waits for
  /// that is told so now, as whoever claims.
  void refuse_waiting(const SessionKey& key);
  /// Takes a client that has ended as far as it goes: lets go of its session when that knows of all
  /// QoS 2 publishes, frees it when nothing will come back to it.
  void settle(Client& client);

  // Publishing.
  void append(Client& client, const mqtt::Publish& publish, mqtt::PublishId id,
              const RecordSink::Record& record);
  /// Nobody waits for what becomes of it.
  void append_alone(mqtt::Qos qos, const RecordSink::Record& record);
  enum class Offered : std::uint8_t { kTaken, kNoRoom, kTooLarge, kRefused };
  /// What a client is told of a record that Kafka did not take and never will.
  struct Refusal {
    mqtt::ReasonCode reason{};
    std::string_view text{};
  };
  static Refusal refusal_of(Offered offered);
  Offered offer(const RecordSink::Record& record, std::uint64_t token);
  /// The same of the one whose turn it is.
  Offered offer_next(const RecordSink::Record& record, std::uint64_t token);
  void stall(const RecordSink::Record& record, std::uint64_t token);
  void look_ahead(std::span<const Stored> stored) const;
  /// Tells the client that waits for a record what became of it.
  void settle_record(std::uint64_t token, mqtt::ReasonCode reason, std::string_view why);
  RecordStamp stamp();
  /// Keeps it as its topic's last message, where all fronts find it. What could not be kept is
  /// counted. `done` may be called at once.
  void retain(std::string_view tenant, const mqtt::MessagePtr& message,
              SessionStore::WhenAway when_away, Done<void> done);
  /// `own`: how the publisher itself gets it, by its own subscriptions.
  void publish(const SessionKey& publisher, std::string_view tenant, mqtt::MessagePtr message,
               std::optional<mqtt::Delivery> own, Done<FanOutCounts> done);
  void send_to(const SessionKey& key, Parcel parcel, Done<Neighbours::Outcome> done);
  void deliver_waiting(const SessionKey& key, Client::Waiting waiting);
  void deliver_elsewhere(const SessionKey& key, Parcel parcel, Done<Neighbours::Outcome> done);
  void wait_for_session(Client& client, Client::Waiting waiting);
  /// To the front that holds the session, or into its queue: behind what went before it.
  void send_on(const SessionKey& key, const SessionStore::Place& place, Parcel parcel,
               Done<Neighbours::Outcome> done);
  /// One message that send_on() took has arrived, or will not.
  void end_way(const SessionKey& key);
  void enqueue_offline(const SessionKey& key, const SessionStore::Place& place, Parcel parcel,
                       Done<Neighbours::Outcome> done);
  void fire_will(Client& client);
  /// True: it has ended the client.
  bool apply(const DeviceChange& change, Client& client);
  /// Goes on with `sweeps_`, as far as it may.
  void sweep();
  /// Not now: what was refused at once would be so in a busy loop.
  void do_later(std::move_only_function<void()> task) { later_.push_back(std::move(task)); }
  /// Tells them so who have waited for a session for too long.
  void refuse_long_waiting();
  /// The same of other fronts that have asked for this one.
  void answer_long_waiting(const SessionKey& key);
  bool has_waited_long(const Client& client) const;

  // Shared subscriptions, broker_shared.cpp.
  /// A message on its way through the members of its group, until one keeps it.
  struct Passing {
    std::vector<SessionKey> had{};   // and have not kept it
    std::vector<SessionKey> away{};  // of these, who would have it in their queue
    bool may_queue = false;          // nobody of the group is connected
    mqtt::MessagePtr message{};
    mqtt::SharePtr share{};
    std::uint8_t given_on = 0;
    mqtt::Qos qos{};  // of the last try
    bool was_full = false;
    bool has_failed = false;  // a member of which nobody knows whether it has it
    Done<Neighbours::Outcome> done{};
  };
  static mqtt::Delivery delivery_to(Target& target, const mqtt::MessagePtr& message);
  void send_to_member(Target target, Passing passing);
  void on_member_answered(Passing passing, Result<Neighbours::Outcome> outcome);
  /// To another member than `from`; `done` tells whether one has kept it.
  void give_on(const SessionKey& from, const mqtt::Delivery& delivery,
               Done<Neighbours::Outcome> done);
  /// `forget`: has the store do so, where it has it; called when it is settled.
  void give_on_ended(const SessionKey& from, const mqtt::Delivery& delivery,
                     std::function<void()> forget);
  /// What waited for the client's session and by its rights is not to be received any more.
  void give_on_forbidden(const Client& client, const mqtt::Delivery& delivery);
  /// What only the client's session in memory had; it ends.
  void give_on_rest(Client& client);
  /// What was taken out of a session that goes on; what nobody takes goes back to it.
  void give_on_taken(const SessionKey& from, Epoch epoch, bool store_has_it,
                     std::vector<mqtt::Delivery> taken);

  Client* find(const SessionKey& key);
  bool is_own_filter(const Identity& identity, std::string_view filter) const;
  std::string make_client_id();
  WallTime wall_now() const { return ports_.clock.wall(); }

  const Options& options_;
  Ports ports_;
  const ingest::TopicMap& topics_;
  ingest::MessageIds message_ids_;
  TenantLimits tenant_limits_;
  std::vector<std::unique_ptr<Client>> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::unordered_set<Client*, KeyOf, SameKey> clients_by_key_;  // that own or claim a session
  std::unordered_map<SessionKey, Client*> waiting_;             // for one of those to let go
  /// What is on its way to a session that is not held here. One message that finds the session gone
  /// to another place goes after it; those that came later and know the place must not overtake it.
  struct Way {
    std::optional<Epoch> owner{};  // that it leads to; none: into the queue
    std::size_t under_way = 0;
    std::vector<Client::Waiting> held{};  // until nothing is under way
  };
  std::unordered_map<SessionKey, Way> ways_;
  struct Stalled {
    std::string topic;
    std::string key;
    std::string value;
    std::int32_t partition;
    std::uint64_t token;
  };
  std::deque<Stalled> stalled_;
  std::size_t unattended_ = 0;
  std::string value_;  // the record being made; kept for its memory
  std::string server_reference_;
  IdentityPtr anybody_;                           // of every client in the conformance profile
  std::unordered_set<SessionKey> left_sessions_;  // there: kept without a connection, for the reset
  std::vector<std::move_only_function<void()>> later_;
  MonoTime next_due_{MonoTime::min()};
  /// A change that concerns many clients, and how far it has come.
  struct Sweep {
    DeviceChange change{};
    std::size_t slot = 0;
  };
  std::deque<Sweep> sweeps_;
  std::size_t may_end_ = 0;     // so many until more_at_ of those that may not be connected
  std::size_t may_change_ = 0;  // and of those that are to connect again
  MonoTime more_at_{MonoTime::min()};
  bool is_draining_ = false;
};

}  // namespace sluice::front
