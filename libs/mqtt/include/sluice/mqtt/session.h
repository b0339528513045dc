#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/mqtt/message.h>
#include <sluice/mqtt/protocol.h>

namespace sluice::mqtt {

/// The filter of a shared subscription as clients write it, `$share/{group}/{filter}`. Shared by
/// whoever chose the member and by all deliveries that came by it.
using SharePtr = std::shared_ptr<const std::string>;

/// A message on its way to one client.
struct Delivery {
  /// Place in the session's order, given by the session: rises, never reused in its life.
  std::uint64_t sequence = 0;
  MessagePtr message{};
  Qos qos = Qos::kAtMostOnce;  // the lower of the message's and the subscription's
  bool retain = false;         // the flag as this client is to see it
  std::vector<std::uint32_t> subscription_ids{};
  /// 0 until it was first sent with one. Kept over reconnections, [MQTT5-4.4.0-1].
  std::uint16_t packet_id = 0;
  enum class State : std::uint8_t {
    kWaiting,   // not sent yet
    kSent,      // PUBLISH sent, awaiting PUBACK or PUBREC
    kReleased,  // QoS 2: PUBREC came, PUBREL sent, awaiting PUBCOMP; the message is gone
  };
  State state = State::kWaiting;
  /// Times that another member of the share group had it before and gave it on.
  std::uint8_t given_on = 0;
  /// The shared subscription that it came by; null: it came by none and is for this client alone.
  SharePtr share{};
};

/// Whether it may go to another member of its share group now that this one's session has ended:
/// what was never sent, and QoS 1 that was not acknowledged. Never a QoS 2 message of which
/// anything was sent, [MQTT5-4.8.2-5].
bool may_be_given_on(const Delivery& delivery);

/// What a session must tell a store that outlives the process, in this order. Called from within
/// the calls that change it; it must not change the session in turn.
class SessionChanges {
 public:
  virtual ~SessionChanges() = default;
  /// packet_id or state changed.
  virtual void on_outbound_changed(const Delivery& delivery) = 0;
  /// Nothing more will be sent of it; comes once for everything that was queued. At QoS 0 it was
  /// acknowledged when it was written.
  enum class End : std::uint8_t { kAcknowledged, kRefusedByClient, kExpired, kTooLarge };
  virtual void on_outbound_done(const Delivery& delivery, End end) = 0;
};

/// The half of a client's state that outlives its connections: what waits for it, what is under
/// way to it, and which QoS 2 messages of its own are half done. Single-threaded, no I/O.
/// Subscriptions are kept by whoever routes. Idle, it is this object and no memory besides.
class Session {
 public:
  struct Limits {
    std::size_t max_queued = 1000;  // messages, under way ones included
    /// Of Message::size_bytes(). One message is taken whatever its size when nothing else waits.
    std::size_t max_queued_bytes = 1 << 20;
    /// QoS 2 publishes of the client half done, two bytes each. Above what a client may have under
    /// way, since those of earlier connections come on top. MQTT 3 clients know of no such number
    /// and wait with PUBREL as they like; not reading them would keep PUBREL from coming.
    std::uint16_t max_inbound_qos2 = 4096;
  };
  explicit Session(const Limits& limits);  // which must outlive it
  ~Session();
  Session(Session&&) noexcept;  // only while no connection holds it
  Session& operator=(Session&&) noexcept;

  enum class Queued : std::uint8_t { kQueued, kFull };
  /// Puts a copy at the end; its sequence is returned through `delivery`. QoS 0 counts too.
  Queued enqueue(Delivery& delivery);
  /// Takes out what was never sent and has expired, and tells of it; true when that makes room. For
  /// when enqueue() has none: it does not look, since most queues are short and nothing in them is
  /// old. Looks through the queue only when something in it may have expired.
  bool drop_expired(MonoTime now, SessionChanges& changes);
  /// Takes out again what was queued with this sequence, unless something of it was sent.
  enum class Withdrawn : std::uint8_t {
    kWithdrawn,
    kUnderWay,  // it was sent, or sent in part: it stays
    kDone,      // nothing more will be sent of it
  };
  Withdrawn withdraw(std::uint64_t sequence);
  /// Puts back what a store kept, in order, before anything else is done. What cannot be sent any
  /// more (no message, or released without a packet id) is passed over.
  void restore(Delivery delivery);
  void restore_inbound(std::uint16_t packet_id);
  /// The sequence that the next message gets, when the store knows a later one than it kept.
  void set_next_sequence(std::uint64_t sequence);
  std::uint64_t next_sequence() const { return next_sequence_; }

  bool is_idle() const;  // nothing queued, nothing under way, no QoS 2 half done
  std::size_t queued() const;
  std::size_t queued_bytes() const;
  /// Of `queued()`, those that were sent to the client and are not acknowledged for good.
  std::size_t under_way() const;
  std::span<const std::uint16_t> inbound_qos2() const { return inbound_; }

  /// All that is queued or under way, in order: for a store, for handing the session over, for
  /// redispatching a shared subscription's messages.
  template <typename Visit>
  void for_each_delivery(Visit visit) const {
    Cursor cursor;
    while (const Delivery* delivery = next_delivery(cursor)) visit(*delivery);
  }

  /// What other members of share groups are to get instead, while the session goes on.
  enum class Take : std::uint8_t {
    /// What was never sent: what was begun must be completed with this client, [MQTT5-3.10.4-3].
    /// Also while a connection holds the session.
    kUnsent,
    /// All that may_be_given_on(); before the session's connection ends for good.
    kUnacknowledged,
  };
  /// Takes these out, in order; of one shared subscription, or, where `share` is empty, of all.
  std::vector<Delivery> take_shared(Take what, std::string_view share = {});

  /// Gives back the memory that only traffic needs; the next message takes it again. For idle times
  /// of clients that come by the million.
  void release_memory();

 private:
  friend class Connection;
  struct Queue;
  struct Cursor {
    std::size_t tracked = 0;
    std::size_t qos0 = 0;
  };

  Queue& queue();
  const Delivery* next_delivery(Cursor& cursor) const;
  std::uint16_t take_packet_id();
  bool has_inbound(std::uint16_t packet_id) const;
  void add_inbound(std::uint16_t packet_id);
  bool remove_inbound(std::uint16_t packet_id);

  const Limits* limits_;
  std::unique_ptr<Queue> queue_;  // none until something is queued
  std::vector<std::uint16_t> inbound_;
  std::uint64_t next_sequence_ = 1;
  std::uint16_t next_packet_id_ = 1;
  // How many packet ids from the next one on are known to be free, so that those under way are
  // looked through once in a while and not for each message.
  std::uint16_t free_packet_ids_ = 0;
};

}  // namespace sluice::mqtt
