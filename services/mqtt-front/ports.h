#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/ids.h>
#include <sluice/base/result.h>
#include <sluice/base/strong_id.h>
#include <sluice/device/v1/device_registry.pb.h>
#include <sluice/mqtt/message.h>
#include <sluice/mqtt/packet.h>
#include <sluice/mqtt/session.h>

namespace sluice::front {

struct Identity;  // core/identity.h

/// Names a session: `tenant/device` of the proven identity, so that two ways of writing a client id
/// cannot make two sessions of one device.
using SessionKey = StrongId<struct SessionKeyTag>;
/// Names a running front process: made anew at each start.
using FrontId = StrongId<struct FrontIdTag>;
/// Rises with each claim of a session: whoever writes with a lower one has lost the session.
using Epoch = StrongId<struct EpochTag, std::uint64_t>;

/// How an answer of a port comes back: exactly once, on the loop that asked, never from within the
/// call that asks.
template <typename T>
using Done = std::move_only_function<void(Result<T>)>;

/// A subscription as a session keeps it.
struct StoredSubscription {
  std::string filter{};  // without $share/{group}/
  std::string group{};   // empty: not shared
  mqtt::Qos qos = mqtt::Qos::kAtMostOnce;
  bool no_local = false;
  bool retain_as_published = false;
  std::uint32_t subscription_id = 0;  // 0: none
  /// Reaches beyond the topics of the session's own device: every front must know it.
  bool is_wide = false;

  bool operator==(const StoredSubscription&) const = default;
};

/// A session while no connection holds it. Expiry times of messages are monotonic here; a store
/// that outlives the process keeps wall time and converts.
struct StoredSession {
  std::vector<StoredSubscription> subscriptions{};
  std::vector<mqtt::Delivery> deliveries{};  // QoS 1 and 2, in order of their sequence
  std::vector<std::uint16_t> inbound_qos2{};
  std::uint64_t next_sequence = 1;
};

/// What a record for Kafka says of a device beyond its names in the session's key, as it was proven
/// when the connection began: whoever publishes a will later cannot ask any more.
struct WillOrigin {
  std::string external_id{};
  std::string fleet{};
  std::string device_class{};
  std::string schema_id{};

  bool operator==(const WillOrigin&) const = default;
};

/// A will that a front must publish, also for a front that died.
struct StoredWill {
  mqtt::Message message{};
  std::chrono::seconds delay{0};
  /// How long its message is to live. That begins when it is published, [MQTT5-3.1.3.2.4]: until
  /// then nothing in the message itself expires.
  std::optional<std::chrono::seconds> lifetime{};
  /// Only where its topic is one of the device's own that go to Kafka.
  std::optional<WillOrigin> origin{};
};

/// How long a session is kept without a connection; kSessionForever: until it is ended.
inline constexpr std::uint32_t kSessionForever = 0xFFFF'FFFF;

/// Where sessions live when their connection, or the front, is gone. One asks from one loop; all
/// calls are asynchronous and pipelined. Failures: kUnavailable (the store cannot be reached),
/// kAborted with reason "fenced" (a later epoch exists: close the connection, acknowledge nothing),
/// kResourceExhausted with the bound's name as reason.
class SessionStore {
 public:
  virtual ~SessionStore() = default;

  /// False: the store forgets with this process; changes of a live session are then not written one
  /// by one, and release() is given everything.
  virtual bool is_durable() const = 0;

  /// Whether this front may still act as the owner of its sessions: to be asked before an
  /// acknowledgement or a delivery, since a process that was stopped for a while learns it here
  /// before on_lease() can tell it. Quick.
  virtual bool lease_is_valid(MonoTime) const { return true; }

  struct Owned {
    FrontId owner{};
    std::string address{};  // of its gRPC door
    Epoch epoch{};
  };
  struct ClaimRequest {
    bool clean_start = false;
    std::uint32_t expiry_seconds = 0;  // 0: the session ends with its connection
    std::optional<StoredWill> will{};
    /// The answer to an earlier claim: that front says that it holds no such session. It has let go
    /// and the store was not told, so that it owns nothing here any more, unless its epoch is
    /// another by now.
    std::optional<Owned> not_held_by{};
  };
  struct Claim {
    Epoch epoch{};
    bool session_present = false;
    StoredSession session{};
  };
  /// Makes this front the owner, in one round trip. When another live front owns it:
  /// kFailedPrecondition with reason "owned" and `owner`: ask it to release, or, when it does not
  /// answer, wait until its lease has run out, then claim again.
  struct ClaimOutcome {
    std::optional<Owned> owned_by_other{};
    Claim claim{};
  };
  virtual void claim(const SessionKey& key, ClaimRequest request, Done<ClaimOutcome> done) = 0;

  struct Release {
    std::uint32_t expiry_seconds = 0;  // 0: the session ends now
    /// The will is still to be published after its delay, unless the session is claimed before.
    std::optional<StoredWill> will{};
    StoredSession session{};  // only for a store that is not durable
  };
  /// A durable store that could not do it, or that does not know whether it did, tries it again by
  /// itself, and so it does with a claim that may have been made although it failed: a session that
  /// a live front seems to own would be closed to all others.
  virtual void release(const SessionKey& key, Epoch epoch, Release release, Done<void> done) = 0;

  // Changes of a session that this front owns, or, of remove_delivery(), was the last to own. Only
  // called for sessions that outlive their connection, and only where is_durable(). Those of
  // inbound publishes may be asked for again, by whoever does not know whether they were done.
  virtual void put_subscription(const SessionKey& key, Epoch epoch,
                                const StoredSubscription& subscription, Done<void> done) = 0;
  virtual void remove_subscription(const SessionKey& key, Epoch epoch, std::string_view filter,
                                   std::string_view group, Done<void> done) = 0;
  virtual void put_delivery(const SessionKey& key, Epoch epoch, const mqtt::Delivery& delivery,
                            Done<void> done) = 0;
  virtual void update_delivery(const SessionKey& key, Epoch epoch,
                               const mqtt::Delivery& delivery) = 0;
  virtual void remove_delivery(const SessionKey& key, Epoch epoch, std::uint64_t sequence) = 0;
  virtual void put_inbound(const SessionKey& key, Epoch epoch, std::uint16_t packet_id,
                           Done<void> done) = 0;
  virtual void remove_inbound(const SessionKey& key, Epoch epoch, std::uint16_t packet_id,
                              Done<void> done) = 0;

  /// Where a session is, for a message that is to reach it.
  struct Place {
    bool exists = false;
    std::optional<Owned> owner{};                     // connected there
    std::vector<StoredSubscription> subscriptions{};  // only when nobody owns it
  };
  virtual void locate(const SessionKey& key, Done<Place> done) = 0;
  /// What on_session_ended() gave with this sequence is settled. A durable store gives it again
  /// until then, unless it is of QoS 2.
  virtual void remove_ended(const SessionKey& key, std::uint64_t sequence) = 0;
  /// Appends to the queue of a session that nobody owns. kFailedPrecondition with reason "owned":
  /// it was claimed meanwhile, locate() again. kNotFound: it is gone. kResourceExhausted: full.
  virtual void enqueue(const SessionKey& key, const mqtt::Delivery& delivery, Done<void> done) = 0;

  // Subscriptions that reach beyond the session's own device: every front knows all of them, since
  // any may be where a matching message comes in.
  struct WideSubscription {
    SessionKey key{};
    StoredSubscription subscription{};
  };
  // Those of a session that has ended go by themselves, in time.
  virtual void put_wide(const SessionKey& key, Epoch epoch, const StoredSubscription& subscription,
                        Done<void> done) = 0;
  virtual void remove_wide(const SessionKey& key, std::string_view filter, std::string_view group,
                           Done<void> done) = 0;

  // Retained messages: every front has all of them in memory. Their topics carry the tenant in
  // front, see stored_name(): here they are names and nothing else. A durable store decides alone
  // what is retained: this front hears of it by on_retained_…() before the call is answered, the
  // others soon after, and all of them end with what the store has.
  enum class WhenAway : std::uint8_t {
    kFail,      // it may have been done or not
    kTryAgain,  // answered as done, and done once the store is back, unless the topic changed since
  };
  virtual void put_retained(const mqtt::MessagePtr& message, WhenAway when_away,
                            Done<void> done) = 0;
  virtual void remove_retained(std::string_view topic, WhenAway when_away, Done<void> done) = 0;
};

/// What a store tells the front on its own. Called on one thread of the store's choice, on_lease()
/// on any, one call at a time; must not block.
class SessionStoreListener {
 public:
  virtual ~SessionStoreListener() = default;
  virtual void on_wide_put(const SessionStore::WideSubscription& subscription) = 0;
  virtual void on_wide_removed(const SessionKey& key, std::string_view filter,
                               std::string_view group) = 0;
  virtual void on_retained_put(const mqtt::MessagePtr& message) = 0;
  virtual void on_retained_removed(std::string_view topic) = 0;
  /// The will of a session whose delay is over, or whose front died.
  virtual void on_will_due(const SessionKey& key, StoredWill will) = 0;
  /// The session has ended, by its expiry, a clean start or its release, with deliveries that
  /// may_be_given_on() to other members of their share groups. Sequences name them for
  /// SessionStore::remove_ended(), nothing else. Goes to one front. What a front has in memory
  /// alone does not come here.
  virtual void on_session_ended(const SessionKey& key, std::vector<mqtt::Delivery> shared) = 0;
  /// Whether this front may act as an owner: false from the moment its lease is no longer certain
  /// (it was frozen, or the store has given its sessions away) until on_lease(true). After a loss
  /// (`sessions_lost`) every connection must be closed; it is told of before the lease can be valid
  /// again.
  virtual void on_lease(bool is_valid, bool sessions_lost) = 0;
  /// This one session has a later owner: close its connection, acknowledge nothing.
  virtual void on_fenced(const SessionKey&, Epoch) {}
};

/// Where records for Kafka go. Its owner hands what became of each to Broker::on_stored().
class RecordSink {
 public:
  virtual ~RecordSink() = default;
  struct Record {
    std::string_view topic{};
    std::string_view key{};
    std::string_view value{};
    std::int32_t partition = -1;  // as partition_of() said; -1: not asked
  };
  /// kResourceExhausted: no room now; offer it again after on_stored(). kInvalidArgument: it will
  /// never be taken, as it is too large. Anything else: not as things are.
  virtual Result<> try_append(const Record& record, std::uint64_t token) = 0;
  /// -1 while it is not known.
  virtual std::int32_t partition_of(std::string_view topic, std::string_view key) = 0;
  /// True while the next read of a socket may bring more than there is room for.
  virtual bool is_full() const = 0;
};

/// Says who a device is.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  struct Verdict {
    std::shared_ptr<const Identity> identity{};  // null: refused
    std::string refusal{};                       // a stable reason, for logs and metrics
    std::uint64_t position = 0;                  // in the order of changes: where it was true
  };
  /// kUnavailable: nobody could say, and nothing usable is remembered.
  virtual void authenticate(device::v1::AuthenticateRequest request, Done<Verdict> done) = 0;
  /// Whether a change since that position may have made the identity untrue. A loop hears of the
  /// changes of its own sessions alone, so that one may pass a device by on its way to its loop.
  virtual bool has_changed(const Identity&, std::uint64_t) const { return false; }
};

/// A message on its way to a session.
struct Parcel {
  mqtt::Delivery delivery{};
  /// The message is on a topic of the session's own device: its own subscriptions decide whether
  /// and how it is delivered. Otherwise `delivery` says so already.
  bool by_own_filters = false;
  /// Of a shared subscription: another member may be connected, on whichever front. kAway rather
  /// than into the queue of a session that no connection holds.
  bool only_connected = false;
  bool was_sent = false;   // to where the session is no more: what came later waits for it
  std::uint8_t moves = 0;  // times that it came to where the session was no more
};

/// Why a session is not let go of yet: its connection is over and waits for Kafka, or the store, to
/// have what it published at QoS 2.
inline constexpr std::string_view kSessionBusy = "session_busy";

/// The other loops of this process and the other fronts.
class Neighbours {
 public:
  virtual ~Neighbours() = default;
  enum class Outcome : std::uint8_t { kDelivered, kQueued, kFull, kNobody, kAway };
  /// Hands it to the loop of this process that the session belongs to. Answers once the message is
  /// safe where the session keeps it.
  virtual void deliver(const SessionKey& key, Parcel parcel, Done<Outcome> done) = 0;
  /// Hands it to the front that holds the session.
  virtual void forward(const SessionStore::Owned& owner, const SessionKey& key, Parcel parcel,
                       Done<Outcome> done) = 0;
  /// Has another front let go of a session. kFailedPrecondition with reason "not_held": it says
  /// that it holds none of this epoch; with kSessionBusy: it will, and cannot yet.
  virtual void release(const SessionStore::Owned& owner, const SessionKey& key,
                       Done<void> done) = 0;
  /// Has all other loops of this process do what the conformance profile's reset is; answers when
  /// they have.
  virtual void reset_profile(Done<void> done) = 0;
};

}  // namespace sluice::front
