#pragma once

#include "wire.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/mqtt/encoder.h>
#include <sluice/mqtt/packet.h>
#include <sluice/mqtt/protocol.h>

namespace sluice::front::testing {

/// A packet from the front, with what tests look at.
struct Received {
  mqtt::PacketType type{};
  mqtt::ReasonCode reason{};                // CONNACK, acknowledgements, DISCONNECT
  std::uint8_t connack_code = 0;            // CONNACK of MQTT 3, as it is on the wire
  std::vector<mqtt::ReasonCode> reasons{};  // SUBACK, UNSUBACK
  std::uint16_t packet_id = 0;
  bool session_present = false;
  std::string topic{};
  std::string payload{};
  mqtt::Qos qos{};
  bool dup = false;
  std::string reason_string{};
  std::string server_reference{};
};

/// One device as a blocking client: it does what a test says and answers nothing by itself, so that
/// tests decide what is acknowledged. One owner thread.
class MqttClient {
 public:
  struct Options {
    std::string client_id{};
    std::string password{};
    mqtt::Version version = mqtt::Version::kV5;
    bool clean_start = true;
    std::uint32_t session_expiry_seconds = 0;
  };

  /// Connects TCP to host:port; throws when that fails.
  explicit MqttClient(const std::string& address) : wire_(address) {}

  /// Shakes hands for TLS before anything else is said; throws when that fails.
  void secure(const std::string& ca_file) { wire_.secure(ca_file); }
  /// Upgrades to WebSocket; what follows goes in frames. Gives the status line of the answer.
  std::string upgrade(const std::string& path);
  /// Sends bytes as they are, below WebSocket; false when the connection is gone.
  bool send_raw(std::string_view bytes) { return wire_.write(bytes); }
  /// The same below TLS, too.
  bool send_below_tls(std::string_view bytes) { return wire_.write_below_tls(bytes); }
  /// Sends bytes of MQTT, over WebSocket in one frame.
  bool send_mqtt(std::string_view bytes);
  /// Everything that comes until the connection ends, below WebSocket.
  std::string receive_raw(std::chrono::milliseconds timeout = std::chrono::seconds(15));
  void set_receive_buffer(int bytes);
  /// After which what is sent counts as not sent; without TLS alone.
  void set_send_limit(std::chrono::seconds limit);
  void half_close();

  /// A CONNECT; from now on the client speaks its version.
  std::string connect_bytes(const Options& options);
  bool send_connect(const Options& options) { return send_mqtt(connect_bytes(options)); }
  bool send_publish(const mqtt::Publish& publish);
  bool send_publish(std::string_view topic, std::string_view payload, mqtt::Qos qos,
                    std::uint16_t packet_id, bool dup = false);
  bool send_ack(mqtt::PacketType type, std::uint16_t packet_id);
  bool send_subscribe(std::string_view filter, mqtt::Qos qos, std::uint16_t packet_id = 1);
  bool send_disconnect();
  bool send_ping();

  /// The next packet; nullopt when the connection ended (see is_closed()) or the time is over.
  std::optional<Received> receive(std::chrono::milliseconds timeout = std::chrono::seconds(15));
  /// The next packet, which must be of that type: throws what came instead.
  Received expect(mqtt::PacketType type);
  /// CONNECT and its CONNACK.
  Received connect(const Options& options);
  /// Sends a QoS 1 publish and waits for its PUBACK.
  Received publish(std::string_view topic, std::string_view payload, std::uint16_t packet_id = 1);
  /// Reads away what comes until the connection ends; false when it is still there afterwards.
  bool wait_closed(std::chrono::milliseconds timeout = std::chrono::seconds(15));
  bool is_closed() const { return is_closed_; }

 private:
  using Time = Wire::Time;

  bool send_output();
  bool fill(Time deadline);
  void unpack_frames();

  Wire wire_;
  mqtt::Version version_ = mqtt::Version::kV5;
  mqtt::Output output_;
  std::string frames_;  // received and not unpacked, over WebSocket alone
  std::string unread_;  // received, of MQTT
  bool is_web_socket_ = false;
  bool is_closed_ = false;
};

}  // namespace sluice::front::testing
