#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include <sluice/base/clock.h>
#include <sluice/base/prefetch.h>
#include <sluice/mqtt/decoder.h>
#include <sluice/mqtt/encoder.h>
#include <sluice/mqtt/packet.h>
#include <sluice/mqtt/session.h>
#include <sluice/mqtt/topic.h>

namespace sluice::mqtt {

/// What a server allows on a connection. Shared by all connections; must outlive them.
struct ConnectionLimits {
  std::uint32_t max_connect_size = 16 * 1024;   // of the first packet, before anything is proven
  std::uint32_t max_packet_size = 1024 * 1024;  // of every other packet from the client
  std::uint16_t receive_maximum = 100;          // QoS 1 and 2 publishes of the client under way
  std::uint16_t send_maximum = 100;             // ours to the client, below what it asks for
  std::uint16_t topic_alias_maximum = 16;       // of the client
  /// Ours, below what the client allows; 0: none. The first topics of a connection get them. Looked
  /// through for each message, so meant to be a few dozen at most.
  std::uint16_t outgoing_topic_aliases = 0;
  TopicLimits topics{};  // of what the client publishes to, its will included
  /// Whether clients are told why in words as well. Tests that compare bytes want none.
  bool sends_reason_strings = true;
};

/// Names an inbound QoS 1 or 2 publish until it is answered. 0: QoS 0, which has no answer.
using PublishId = std::uint32_t;

/// Why a connection ends.
struct Close {
  ReasonCode reason = ReasonCode::kSuccess;
  std::string_view what{};     // static text: the clause broken, for the log
  bool by_client = false;      // it sent DISCONNECT
  bool publishes_will = true;  // false after a DISCONNECT with reason 0x00
  std::optional<std::uint32_t> session_expiry_seconds{};  // as changed by DISCONNECT
};

/// What the connection asks of whoever runs it. Called from within on_bytes(); what is passed are
/// views that live no longer than the call. Any of the answers may be given inside the call or
/// later; what a call must not do is destroy the connection.
class ConnectionEvents : public SessionChanges {
 public:
  /// Answer with accept() or refuse(). Until then no further bytes are taken.
  virtual void on_connect(const Connect& connect) = 0;
  /// Answer with publish_done() unless `id` is 0. The topic is valid and whole: aliases are
  /// resolved. A QoS 2 publish that was seen before is answered by the connection itself and never
  /// comes here.
  virtual void on_publish(const Publish& publish, PublishId id) = 0;
  /// A QoS 2 publish was completed by the client (PUBREL): its packet id is to be forgotten. Answer
  /// with release_done() when it is, also by whatever else remembers it: from then on the client
  /// may use the id for another message.
  virtual void on_publish_released(std::uint16_t packet_id) = 0;
  /// Answer with filters_done(). Filters are well-formed text; whether they are valid filters is to
  /// be answered one by one.
  virtual void on_subscribe(const Subscribe& subscribe) = 0;
  virtual void on_unsubscribe(const Unsubscribe& unsubscribe) = 0;
  /// Once, and only for an end that on_bytes() came upon: what the server ends, by refuse(),
  /// disconnect() or a call below that says so, it need not be told. What is in the output is still
  /// to be sent, then the stream is to be closed.
  virtual void on_close(const Close& close) = 0;
};

/// One client's connection as the specification sees it: which packet may come when, who answers
/// what, and in which order. Bytes in, events and bytes out; no I/O, no clock of its own, owned by
/// one thread. Acknowledgements of QoS 1 and 2 publishes leave in the order of the publishes,
/// whatever the order of publish_done(). Takes memory besides itself only for unanswered publishes
/// and topic aliases, when the first comes.
class Connection {
 public:
  explicit Connection(const ConnectionLimits& limits);
  ~Connection();
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;

  enum class State : std::uint8_t { kNew, kConnecting, kOpen, kClosed };
  State state() const { return state_; }
  Version version() const { return version_; }

  /// Takes what whole packets there are and says how many bytes that was; what is left must come
  /// again with more behind it. Stops early while it may take no more: see wants_bytes().
  std::size_t on_bytes(MonoTime now, std::span<const std::byte> bytes, Output& out,
                       ConnectionEvents& events);
  /// False while CONNECT is unanswered, while kMaxUnansweredFilters packets wait for
  /// filters_done(), and after the end. A client past its receive maximum is closed with 0x93,
  /// [MQTT5-3.3.4-9]; MQTT 3 clients, which have no such number, are made to wait: false as well
  /// until answers are given.
  bool wants_bytes() const;
  /// SUBSCRIBE and UNSUBSCRIBE packets. Most clients send one and wait; each may be costly to
  /// answer.
  static constexpr std::uint8_t kMaxUnansweredFilters = 4;

  /// Lets the client in. The session must outlive the connection or its next detach(), and no other
  /// connection may hold it. While the previous connection of the same session has unanswered()
  /// publishes, wait with this: a QoS 2 publish that comes again meanwhile would be taken twice.
  /// Receive maximum, maximum packet size and topic alias maximum are filled in where they are
  /// absent. False: the client takes no packet as large as the CONNACK; the connection is closed.
  struct Acceptance {
    bool session_present = false;
    Connack connack{};  // reason and session_present are set here
  };
  bool accept(Session& session, const Acceptance& acceptance, Output& out);
  void refuse(ReasonCode reason, std::string_view reason_string, std::string_view server_reference,
              Output& out);
  /// Lets go of the session, before it is given to another connection or destroyed. Closes.
  void detach();

  /// The publish was stored, or will not be: PUBACK or PUBREC, once those before it are answered.
  /// MQTT 3 cannot say no, [MQTT-3.3.5-2]: in place of a failure the connection is closed, without
  /// the will being withdrawn, and false is returned by the call that comes to it; give kSuccess to
  /// acknowledge what is dropped. After the end of the connection it still is to be called, since
  /// the session must learn of QoS 2 publishes that were stored.
  bool publish_done(PublishId id, ReasonCode reason, std::string_view reason_string, Output& out);
  /// Answers on_publish_released().
  void release_done(std::uint16_t packet_id, Output& out);
  /// False: the client takes no packet as large as this; the connection is closed.
  bool filters_done(PacketType suback_or_unsuback, std::uint16_t packet_id,
                    std::span<const ReasonCode> reasons, Output& out);

  /// Sends what the session has waiting, as far as the client's receive maximum, its maximum packet
  /// size and `max_bytes` of output allow (the message that reaches the bound is sent whole). What
  /// was under way when the last connection ended goes first. False: something is left that only
  /// awaits room in the output.
  bool deliver(MonoTime now, std::size_t max_bytes, Output& out, SessionChanges& changes);
  /// A QoS 0 message straight out, without a queue. False: expired, or larger than the client
  /// takes.
  bool send(const Delivery& delivery, MonoTime now, Output& out);

  /// The server ends it: DISCONNECT with the reason for MQTT 5, nothing for older ones and before
  /// CONNACK.
  void disconnect(ReasonCode reason, std::string_view reason_string,
                  std::string_view server_reference, Output& out);

  /// 0: no keep-alive. What CONNACK says wins.
  std::uint16_t keep_alive_seconds() const { return keep_alive_seconds_; }
  /// Publishes of the client that are not answered yet.
  std::uint32_t unanswered() const;

  /// Gives back the memory that only traffic needs, where nothing is unanswered; topic aliases
  /// stay.
  void release_memory();

  /// What it will need for the next publish or its answer; itself excepted.
  void prefetch(PrefetchStep step) const;

 private:
  struct Traffic;  // what only a connection with traffic needs
  struct Input;    // one call of on_bytes()

  Traffic& traffic();
  bool is_v5() const { return version_ == Version::kV5; }
  void take_packet(const Frame& frame, Input& in);
  void take_first(std::span<const std::byte> bytes, const Decoded<std::optional<Frame>>& frame,
                  Input& in);
  void take_connect(const Frame& frame, Input& in);
  void take_publish(const Frame& frame, Input& in);
  void take_tracked_publish(const Publish& publish, Input& in);
  void take_pubrel(const Ack& ack, Input& in);
  void take_ack(const Frame& frame, Input& in);
  void take_outbound_ack(const Ack& ack, Input& in);
  void take_subscribe(const Frame& frame, Input& in);
  void take_disconnect(const Frame& frame, Input& in);
  std::optional<DecodeError> resolve_alias(Publish& publish);
  std::optional<DecodeError> publish_fault(const Publish& publish) const;

  void fail(const DecodeError& error, Input& in);
  void refuse_connect(ReasonCode reason, std::string_view what, Input& in);
  void finish(const Close& close, Input& in);
  bool put_connack(Connack connack, Output& out);
  void put_ack(Ack ack, Output& out);
  bool flush_answers(Output& out);
  bool write_message(const Delivery& delivery, bool dup, MonoTime now, Output& out);
  bool write_publish(const Publish& publish, std::size_t at_most, Output& out);
  void end_delivery(std::size_t index, SessionChanges::End end, SessionChanges& changes);
  void deliver_qos0(MonoTime now, Output& out, SessionChanges& changes);
  void deliver_tracked(MonoTime now, Output& out, SessionChanges& changes);

  const ConnectionLimits* limits_;
  Session* session_ = nullptr;
  std::unique_ptr<Traffic> traffic_;
  std::uint32_t client_max_packet_size_;
  std::uint16_t keep_alive_seconds_ = 0;
  std::uint16_t send_maximum_ = 0;
  /// The first so many of the session's tracked deliveries were sent on this connection.
  std::uint16_t sent_ = 0;
  std::uint16_t client_topic_alias_maximum_ = 0;
  /// QoS 2 publishes half done on earlier connections: they are not in this one's receive maximum.
  std::uint16_t inherited_qos2_ = 0;
  std::uint8_t unanswered_filters_ = 0;
  State state_ = State::kNew;
  Version version_ = Version::kV5;
  Qos maximum_qos_ = Qos::kExactlyOnce;
  bool retain_available_ : 1 = true;
  bool sends_problem_information_ : 1 = true;
  bool may_set_session_expiry_ : 1 = true;
};

}  // namespace sluice::mqtt
