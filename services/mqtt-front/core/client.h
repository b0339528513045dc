#pragma once

#include "core/admission.h"
#include "core/identity.h"
#include "core/options.h"
#include "ports.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/prefetch.h>
#include <sluice/mqtt/connection.h>
#include <sluice/mqtt/encoder.h>
#include <sluice/mqtt/session.h>

namespace sluice::front {

class Broker;
struct TopicRoute;
class TenantRoutes;
struct FanOutCounts;

/// Of a link, what a client asks the processor for before it speaks to it.
inline constexpr std::size_t kPrefetchedLink = 192;

/// The stream under a client, as the core sees it. Implemented by the shell.
class Link {
 public:
  virtual ~Link() = default;
  /// The client's output has bytes: send them before the loop sleeps.
  virtual void send_soon() = 0;
  /// Send what is in the output, then close.
  virtual void close_soon() = 0;
  /// Bytes of the client's output may still be sent that are not in it any more.
  virtual bool has_unsent() const = 0;
  /// The client takes bytes again (Client::wants_bytes()); it did not before.
  virtual void read_again() = 0;
  /// Gives the client nothing that rates count until then: it has used up what it may send.
  virtual void pause_until(MonoTime time) = 0;
  /// The session belongs to another loop: once the call that says so has returned, take the client
  /// out (Broker::depart) and hand it there (Broker::arrive, Broker::claim).
  virtual void move_soon(std::size_t loop) = 0;
};

/// What is known of whoever connects before it says a word.
struct Peer {
  std::string address{};  // "192.0.2.1", without port
  /// What the TLS layer has proven: a client certificate or a pre-shared key's identity.
  std::optional<device::v1::CertificateCredential> certificate{};
  std::string psk_identity{};
};

/// A CONNECT that is being answered: what is needed of it beyond its own bytes.
struct Arrival {
  std::string client_id{};
  bool clean_start = true;
  bool has_assigned_id = false;
  std::uint64_t proven_at = 0;  // Authenticator::Verdict::position
  mqtt::Version version = mqtt::Version::kV5;
  std::uint16_t keep_alive_seconds = 0;
  std::uint32_t expiry_seconds = 0;
  /// For another connection to let go of the session, here or on another front.
  std::optional<MonoTime> waits_since{};
  bool lowers_expiry = false;  // to what we keep sessions for at most
  std::optional<StoredWill> will{};
};

/// A publish to it in the conformance profile ends all other sessions and forgets what is retained,
/// so that one suite does not find what another left.
inline constexpr std::string_view kResetTopic = "$conformance/reset";

/// The one filter that the conformance profile refuses, as the public suites expect.
inline constexpr std::string_view kDeniedInProfile = "test/nosubscribe";

/// One connected client: from its first byte until everything it began has ended. What it may do
/// is decided here, what the protocol says in mqtt::Connection. Owned by the Broker, one thread.
class Client final : private mqtt::ConnectionEvents {
 public:
  Client(Broker& broker, Link& link, Peer peer, std::uint32_t slot);
  ~Client() override;

  // For the shell.

  /// How many bytes were taken; the rest must come again.
  std::size_t on_bytes(MonoTime now, std::span<const std::byte> bytes);
  bool wants_bytes() const { return link_ != nullptr && !has_ended_ && connection_.wants_bytes(); }
  /// To be sent; the shell takes bytes from the front.
  mqtt::Output& output() { return output_; }
  /// Gives back what only traffic needs: asked for when nothing was heard for a while.
  void release_memory();
  /// The output has room again: more of what waits may be encoded.
  void on_writable(MonoTime now);
  /// The stream is gone, for the stable reason given; the shell forgets the client.
  void on_gone(std::string_view reason);
  /// The server ends it.
  void disconnect(mqtt::ReasonCode reason, std::string_view reason_string,
                  std::string_view server_reference = {});
  /// The server ends it because the session has, or may have, a later owner. What was encoded for
  /// it before and not sent is not ours to send any more.
  void cut_off(mqtt::ReasonCode reason, std::string_view reason_string);
  /// Nothing of the output may be sent: see cut_off().
  bool must_be_silent() const { return must_be_silent_; }
  /// 0: none. As the protocol gives it, times one and a half.
  std::chrono::milliseconds keep_alive_limit() const;
  bool is_accepted() const { return is_accepted_; }
  /// What it will need for bytes that come, and for an answer that goes.
  void prefetch_for_bytes(PrefetchStep step) const;
  void prefetch_for_answer(PrefetchStep step) const;

  const SessionKey& key() const { return key_; }
  const std::shared_ptr<const Identity>& identity() const { return identity_; }
  std::uint32_t slot() const { return slot_; }
  /// Where it connects from; empty once it is accepted.
  std::string_view address() const { return peer_ ? std::string_view(peer_->address) : ""; }

 private:
  friend class Broker;

  // mqtt::ConnectionEvents
  void on_connect(const mqtt::Connect& connect) override;
  void on_publish(const mqtt::Publish& publish, mqtt::PublishId id) override;
  void on_publish_released(std::uint16_t packet_id) override;
  void on_subscribe(const mqtt::Subscribe& subscribe) override;
  void on_unsubscribe(const mqtt::Unsubscribe& unsubscribe) override;
  void on_close(const mqtt::Close& close) override;
  void on_outbound_changed(const mqtt::Delivery& delivery) override;
  void on_outbound_done(const mqtt::Delivery& delivery, End end) override;

  // Connecting, client_connect.cpp.
  Result<Arrival> read_connect(const mqtt::Connect& connect);
  void ask_who(const mqtt::Connect& connect);
  void on_identity(Result<Authenticator::Verdict> verdict);
  void refuse(mqtt::ReasonCode reason, std::string_view limit_or_reason);
  void on_session(SessionStore::Claim claim);
  void restore_routes();
  /// What a will that goes to Kafka must carry; nullopt: this one goes to subscribers alone.
  std::optional<WillOrigin> origin_of_will(std::string_view topic) const;

  // Publishing, client_publish.cpp.
  TopicRoute& route_for(std::string_view topic);
  void ingest(const mqtt::Publish& publish, TopicRoute& route, mqtt::PublishId id);
  void request(const mqtt::Publish& publish, const TopicRoute& route, mqtt::PublishId id);
  void fan_out(const mqtt::Publish& publish, mqtt::PublishId id, const TopicRoute& route);
  void on_fanned_out(mqtt::PublishId id, mqtt::Qos qos, const Result<FanOutCounts>& counts);
  void reset_profile(const mqtt::Publish& publish, mqtt::PublishId id);
  void refuse_publish(const mqtt::Publish& publish, mqtt::PublishId id, mqtt::ReasonCode reason,
                      std::string_view why);
  bool admit(const mqtt::Publish& publish, mqtt::PublishId id, const TopicRoute& route);
  /// The publish is on its way to where it is kept: on_stored() follows. Not for QoS 0.
  void expect_stored(const mqtt::Publish& publish, mqtt::PublishId id);
  void on_stored(mqtt::PublishId id, bool is_qos2, mqtt::ReasonCode reason, std::string_view why);
  void answer_publish(mqtt::PublishId id, mqtt::ReasonCode reason, std::string_view why);

  // Publishes to be retained, client_retained.cpp.
  /// The setting whose bound keeps it from being retained; empty: it is, or expect_stored() sees to
  /// it.
  std::string_view keep_retained(const mqtt::Publish& publish);
  /// Tells the store; on_stored() waits for its answer.
  void expect_retained(const mqtt::Publish& publish, mqtt::PublishId id);
  void on_retained(mqtt::PublishId id, std::string_view refusal);
  /// True: on_stored() comes again once the store has answered. Otherwise `reason` and `why` are
  /// what the client is told of both.
  bool waits_for_retained(mqtt::PublishId id, bool is_qos2, mqtt::ReasonCode& reason,
                          std::string_view& why);

  // Subscribing, client_subscribe.cpp.
  struct FilterAnswers;
  mqtt::ReasonCode subscribe_one(const mqtt::Subscription& subscription, std::uint32_t id,
                                 const std::shared_ptr<FilterAnswers>& answers, std::size_t index);
  void meter_filters(std::size_t count);
  void keep(const StoredSubscription& stored, std::optional<StoredSubscription> before,
            const std::shared_ptr<FilterAnswers>& answers, std::size_t index);
  void undo(const StoredSubscription& refused, const std::optional<StoredSubscription>& before);
  void forget(const StoredSubscription& gone, const std::shared_ptr<FilterAnswers>& answers);
  void filter_done(const std::shared_ptr<FilterAnswers>& answers);
  void send_retained(const StoredSubscription& subscription);
  void send_more_retained();
  void forget_retained(std::string_view filter);
  bool is_still_retained(const mqtt::Message& message) const;
  bool reaches_beyond_own(const StoredSubscription& subscription) const;

  // Receiving, client_receive.cpp.
  using Outcome = Neighbours::Outcome;
  /// A message for this client: out at once, or into its session. Answers, maybe from within the
  /// call, once it is as safe as the session is.
  void receive(mqtt::Delivery delivery, Done<Outcome> done);
  bool may_receive(const mqtt::Delivery& delivery) const;
  /// What came while the session was between two connections.
  struct Waiting {
    Parcel parcel;
    Done<Outcome> done;
    bool only_here = false;  // see Broker::deliver_here()
  };
  void pass_on(Waiting waiting);
  /// What is to be said of a delivery that the store refused.
  Result<Outcome> settle_unstored(const mqtt::Delivery& delivery, Error why);
  void store_again();
  void flush();

  // QoS 2 publishes half done, where a store must know of them, client_inbound.cpp.
  void keep_unsaved(std::uint16_t packet_id);
  void save_unsaved();
  void save_inbound(std::uint16_t packet_id);
  void forget_inbound(std::uint16_t packet_id);
  StoredSession snapshot() const;
  bool outlives_connection() const { return expiry_seconds_ > 0; }
  void close(mqtt::ReasonCode reason, std::string_view reason_string,
             std::string_view server_reference, bool publishes_will);
  /// Whether the end of a connection counts against its device as flapping. Not what the device
  /// says goodbye with, nor what the platform ends for reasons of its own: it comes back at once as
  /// it should, and is not to be kept out for it.
  enum class Flaps : std::uint8_t { kNo, kYes };
  void end(std::string_view reason, bool publishes_will, Flaps flaps);

  Broker& broker_;
  Link* link_;  // null once the stream is gone
  mqtt::Connection connection_;
  mqtt::Session session_;
  mqtt::Output output_{};
  SessionKey key_{};
  std::shared_ptr<const Identity> identity_{};  // shared with the cache and other connections
  std::vector<StoredSubscription> subscriptions_{};
  std::unique_ptr<TopicRoute> route_{};  // of the topic it last published to
  std::unique_ptr<Peer> peer_;           // dropped once it is accepted
  std::unique_ptr<Arrival> arrival_{};   // while CONNECT is being answered
  std::unique_ptr<StoredWill> will_{};
  struct Qos2Id {
    mqtt::PublishId publish;
    std::uint16_t packet;
  };
  /// A publish that is also to be retained, of which two answers are awaited. The texts are names
  /// that outlive it.
  struct Retaining {
    mqtt::PublishId id{};
    bool is_for_kafka = false;
    bool is_answered = false;  // by the store
    bool is_stored = false;    // on_stored() came, with what follows
    bool is_qos2 = false;
    mqtt::ReasonCode reason{};
    std::string_view why{};
    std::string_view refusal{};  // of the store
  };
  /// What was retained when it subscribed, and there was no room for yet.
  struct RetainedToSend {
    StoredSubscription subscription{};
    std::vector<mqtt::MessagePtr> messages{};
    std::size_t next = 0;  // of these
    bool has_waited = false;
  };
  /// Another front that asked for the session.
  struct ReleaseWaiter {
    MonoTime since{};
    Done<bool> done{};
  };
  /// What few clients ever have, apart, so that the others do not carry room for it.
  struct Rare {
    std::vector<Waiting> parcels{};  // that came while the session was between two connections
    std::vector<ReleaseWaiter> release_waiters{};
    std::vector<Retaining> retaining{};
    std::vector<Qos2Id> qos2_ids{};  // on their way to Kafka, where a store is to be told of them
    /// Packet ids that Kafka has the publishes of and the store does not know: it was away.
    std::vector<std::uint16_t> unsaved_ids{};
    /// Sequences of what was sent to the client and the store did not take.
    std::vector<std::uint64_t> unstored{};
    std::vector<RetainedToSend> retained{};  // one of a subscription at most
  };
  Rare& rare() {
    if (!rare_) rare_ = std::make_unique<Rare>();
    return *rare_;
  }
  std::unique_ptr<Rare> rare_{};
  DeviceMeter meter_{};
  std::shared_ptr<TenantMeter> tenant_{};  // shared with the loop's other clients of the tenant
  TenantRoutes* routes_ = nullptr;         // of its tenant, once its session is claimed
  Epoch epoch_{};
  std::uint32_t slot_;
  std::uint32_t expiry_seconds_ = 0;
  std::uint32_t in_flight_ = 0;       // records and store calls that will still come back to it
  std::uint32_t qos2_in_flight_ = 0;  // of these, what the session must know of QoS 2 publishes
  bool owns_session_ = false;         // claims it, has it, or is about to let go of it
  bool is_released_ = false;
  bool must_be_silent_ = false;
  bool is_fenced_ = false;  // the session has, or may have, a later owner: it speaks for it
  bool is_accepted_ = false;
  bool has_ended_ = false;
  /// A durable store has, and is told of, all that waits for it: it gives that on when it ends.
  bool is_in_store_ = false;
};

}  // namespace sluice::front
