#include "mqtt_client.h"

#include <array>
#include <format>
#include <stdexcept>
#include <utility>

#include <sluice/mqtt/decoder.h>

#include <sys/socket.h>
#include <sys/time.h>

namespace sluice::front::testing {
namespace {

using mqtt::PacketType;

constexpr std::uint32_t kMaxPacket = 4 << 20;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <typename T>
const T& value_of(const mqtt::Decoded<T>& decoded) {
  if (!decoded) throw std::runtime_error("bad packet: " + std::string(decoded.error().what));
  return *decoded;
}

void read_publish(const mqtt::Publish& publish, Received& packet) {
  packet.topic = publish.topic;
  packet.payload = text_of(publish.payload);
  packet.packet_id = publish.packet_id;
  packet.qos = publish.qos;
  packet.dup = publish.dup;
}

void read_connack(const mqtt::Frame& frame, mqtt::Version version, Received& packet) {
  if (frame.body.size() > 1) packet.connack_code = static_cast<std::uint8_t>(frame.body[1]);
  const auto connack = mqtt::decode_connack(frame, version);
  packet.session_present = value_of(connack).session_present;
  packet.reason = connack->reason;
  packet.reason_string = connack->reason_string;
  packet.server_reference = connack->server_reference;
}

Received read_packet(const mqtt::Frame& frame, mqtt::Version version) {
  Received packet{.type = frame.type};
  switch (frame.type) {
    case PacketType::kConnack:
      read_connack(frame, version, packet);
      break;
    case PacketType::kPublish:
      read_publish(value_of(mqtt::decode_publish(frame, version)), packet);
      break;
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp: {
      const mqtt::Ack ack = value_of(mqtt::decode_ack(frame, version));
      packet.packet_id = ack.packet_id;
      packet.reason = ack.reason;
      packet.reason_string = ack.reason_string;
      break;
    }
    case PacketType::kSuback:
    case PacketType::kUnsuback: {
      const mqtt::FilterAck ack = value_of(mqtt::decode_filter_ack(frame, version));
      packet.packet_id = ack.packet_id;
      packet.reasons.assign(ack.reasons.begin(), ack.reasons.end());
      break;
    }
    case PacketType::kDisconnect: {
      const mqtt::Disconnect end = value_of(mqtt::decode_disconnect(frame, version));
      packet.reason = end.reason;
      packet.reason_string = end.reason_string;
      packet.server_reference = end.server_reference;
      break;
    }
    default:
      break;
  }
  return packet;
}

}  // namespace

std::string MqttClient::upgrade(const std::string& path) {
  wire_.write(
      std::format("GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                  "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
                  path));
  const Time deadline = std::chrono::steady_clock::now() + std::chrono::seconds(15);
  while (unread_.find("\r\n\r\n") == std::string::npos) {
    if (!fill(deadline)) return unread_;
  }
  std::string answer = unread_.substr(0, unread_.find("\r\n"));
  frames_ = unread_.substr(unread_.find("\r\n\r\n") + 4);
  unread_.clear();
  is_web_socket_ = true;
  return answer;
}

void MqttClient::set_receive_buffer(int bytes) {
  ::setsockopt(wire_.fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

void MqttClient::set_send_limit(std::chrono::seconds limit) {
  const timeval time{.tv_sec = limit.count(), .tv_usec = 0};
  ::setsockopt(wire_.fd(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

void MqttClient::half_close() { ::shutdown(wire_.fd(), SHUT_WR); }

bool MqttClient::send_mqtt(std::string_view bytes) {
  if (!is_web_socket_) return wire_.write(bytes);
  // One binary frame, masked with zeroes: a mask is demanded, not what it is.
  std::string frame = "\x82";
  if (bytes.size() < 126) {
    frame += static_cast<char>(0x80 | bytes.size());
  } else {
    frame += static_cast<char>(0x80 | 126);
    frame += static_cast<char>(bytes.size() >> 8);
    frame += static_cast<char>(bytes.size() & 0xFF);
  }
  return wire_.write((frame + std::string(4, '\0')).append(bytes));
}

bool MqttClient::send_output() {
  const bool is_sent = send_mqtt(text_of(output_));
  output_.clear();
  return is_sent;
}

std::string MqttClient::connect_bytes(const Options& options) {
  version_ = options.version;
  mqtt::Connect connect{.version = options.version,
                        .clean_start = options.clean_start,
                        .client_id = options.client_id,
                        .session_expiry_seconds = options.session_expiry_seconds};
  if (!options.password.empty()) {
    connect.user_name = options.client_id;
    connect.password = bytes_of(options.password);
  }
  mqtt::encode(connect, output_);
  std::string bytes = text_of(output_);
  output_.clear();
  return bytes;
}

bool MqttClient::send_publish(const mqtt::Publish& publish) {
  mqtt::encode(publish, version_, output_);
  return send_output();
}

bool MqttClient::send_publish(std::string_view topic, std::string_view payload, mqtt::Qos qos,
                              std::uint16_t packet_id, bool dup) {
  return send_publish({.topic = topic,
                       .payload = bytes_of(payload),
                       .qos = qos,
                       .dup = dup,
                       .packet_id = packet_id});
}

bool MqttClient::send_ack(PacketType type, std::uint16_t packet_id) {
  mqtt::encode(mqtt::Ack{.type = type, .packet_id = packet_id}, version_, output_);
  return send_output();
}

bool MqttClient::send_subscribe(std::string_view filter, mqtt::Qos qos, std::uint16_t packet_id) {
  mqtt::FilterListBuilder filters(true, version_);
  filters.add({.filter = filter, .qos = qos});
  mqtt::encode(mqtt::Subscribe{.packet_id = packet_id, .filters = filters.view()}, version_,
               output_);
  return send_output();
}

bool MqttClient::send_disconnect() {
  mqtt::encode(mqtt::Disconnect{}, version_, output_);
  return send_output();
}

bool MqttClient::send_ping() {
  mqtt::encode_pingreq(output_);
  return send_output();
}

bool MqttClient::fill(Time deadline) {
  if (is_closed_) return false;
  std::array<char, 16 * 1024> buffer;
  const std::ptrdiff_t got = wire_.read(buffer, deadline);
  if (got < 0) return false;
  if (got == 0) {
    is_closed_ = true;
    return false;
  }
  (is_web_socket_ ? frames_ : unread_).append(buffer.data(), static_cast<std::size_t>(got));
  return true;
}

void MqttClient::unpack_frames() {
  while (frames_.size() >= 2) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(frames_[i]); };
    std::size_t header = 2;
    std::size_t size = byte(1) & 0x7F;
    if (size == 126) {
      if (frames_.size() < 4) return;
      size = static_cast<std::size_t>(byte(2)) << 8 | byte(3);
      header = 4;
    }
    if (frames_.size() < header + size) return;
    if ((byte(0) & 0x0F) == 2) unread_.append(frames_, header, size);
    frames_.erase(0, header + size);
  }
}

std::optional<Received> MqttClient::receive(std::chrono::milliseconds timeout) {
  const Time deadline = std::chrono::steady_clock::now() + timeout;
  while (true) {
    unpack_frames();
    const auto frame = mqtt::next_frame(bytes_of(unread_), kMaxPacket);
    if (value_of(frame)) {
      Received packet = read_packet(**frame, version_);
      unread_.erase(0, (*frame)->size);
      return packet;
    }
    if (!fill(deadline)) return std::nullopt;
  }
}

Received MqttClient::expect(PacketType type) {
  const auto packet = receive();
  if (!packet) {
    throw std::runtime_error(std::format("no packet of type {}: {}", static_cast<int>(type),
                                         is_closed_ ? "closed" : "nothing came"));
  }
  if (packet->type != type) {
    throw std::runtime_error(std::format("packet of type {} instead of {}: reason {:#x} {}",
                                         static_cast<int>(packet->type), static_cast<int>(type),
                                         static_cast<int>(packet->reason), packet->reason_string));
  }
  return *packet;
}

Received MqttClient::connect(const Options& options) {
  send_connect(options);
  return expect(PacketType::kConnack);
}

Received MqttClient::publish(std::string_view topic, std::string_view payload,
                             std::uint16_t packet_id) {
  send_publish(topic, payload, mqtt::Qos::kAtLeastOnce, packet_id);
  return expect(PacketType::kPuback);
}

std::string MqttClient::receive_raw(std::chrono::milliseconds timeout) {
  const Time deadline = std::chrono::steady_clock::now() + timeout;
  while (fill(deadline)) {
  }
  return is_web_socket_ ? std::exchange(frames_, {}) : std::exchange(unread_, {});
}

bool MqttClient::wait_closed(std::chrono::milliseconds timeout) {
  const Time deadline = std::chrono::steady_clock::now() + timeout;
  while (!is_closed_ && std::chrono::steady_clock::now() < deadline) {
    unread_.clear();
    frames_.clear();
    fill(deadline);
  }
  return is_closed_;
}

}  // namespace sluice::front::testing
