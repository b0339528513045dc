#pragma once

#include "testing_bytes.h"

#include <format>
#include <functional>
#include <string>
#include <vector>

#include <sluice/mqtt/connection.h>

namespace sluice::mqtt {

inline std::string hex(ReasonCode reason) {
  return std::format("0x{:02X}", static_cast<unsigned>(reason));
}

/// "PUBACK 7", "PUBREC 7 0x97", "PUBLISH t q1 7 dup retain 'payload'", ...: what a test looks for.
std::string describe(const Frame& frame, Version version);
/// All packets in the bytes, which must be whole.
std::vector<std::string> describe(std::span<const std::byte> bytes, Version version);

/// A message as the router would queue it.
inline Delivery delivery(std::string topic, std::string payload, Qos qos) {
  Message message{.topic = std::move(topic), .payload = std::move(payload), .qos = qos};
  return {.message = std::make_shared<const Message>(std::move(message)), .qos = qos};
}

/// A connection with whoever runs it, who writes down what is asked of him. He accepts at once and
/// leaves publishes to the test, unless told otherwise.
class Server : public ConnectionEvents {
 public:
  Server() : session(session_limits), connection(limits) {}

  // Set before use.
  ConnectionLimits limits{};
  Session::Limits session_limits{};
  bool accepts = true;
  bool answers_publishes = false;
  bool answers_filters = true;
  bool answers_releases = true;
  Connection::Acceptance acceptance{};

  Session session;
  Connection connection;
  Output out;
  MonoTime now{};
  std::vector<std::string> events;
  std::vector<PublishId> ids;  // of on_publish, in order
  std::vector<Delivery> done;  // of on_outbound_done
  std::function<void(const Publish&)> on_publish_hook;

  /// A new connection of the same session.
  void reconnect(const Connect& connect);
  void connect(Version version) { connect(Connect{.version = version, .client_id = "c"}); }
  void connect(const Connect& packet);

  /// Gives all that is wanted and tells how much was taken.
  std::size_t give(std::span<const std::byte> bytes) {
    return connection.on_bytes(now, bytes, out, *this);
  }
  void give_publish(std::uint16_t packet_id, Qos qos, bool dup = false,
                    std::string_view payload = "p");
  void give_ack(PacketType type, std::uint16_t packet_id, ReasonCode reason = ReasonCode::kSuccess);

  /// What was sent and happened since the last look.
  std::vector<std::string> sent();
  std::vector<std::string> happened() { return std::exchange(events, {}); }
  bool deliver(std::size_t max_bytes = 1 << 20) {
    return connection.deliver(now, max_bytes, out, *this);
  }
  void done_with(PublishId id, ReasonCode reason = ReasonCode::kSuccess) {
    connection.publish_done(id, reason, {}, out);
  }

  void on_connect(const Connect& connect) override;
  void on_publish(const Publish& publish, PublishId id) override;
  void on_publish_released(std::uint16_t packet_id) override;
  void on_subscribe(const Subscribe& subscribe) override;
  void on_unsubscribe(const Unsubscribe& unsubscribe) override;
  void on_close(const Close& close) override;
  void on_outbound_changed(const Delivery& delivery) override;
  void on_outbound_done(const Delivery& delivery, End end) override;

 private:
  void log(std::string text) { events.push_back(std::move(text)); }
};

}  // namespace sluice::mqtt
