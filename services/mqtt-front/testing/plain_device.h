#pragma once

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/mqtt/encoder.h>
#include <sluice/net/socket.h>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

// In headers alone, as the tests of core/ link all of testing/*.cpp and have no sockets.
namespace sluice::front::testing {

/// A blocking connection to a listener on loopback; `address` is host:port.
inline net::Socket connect_to(const std::string& address) {
  net::Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  name.sin_port =
      htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  EXPECT_EQ(::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  return socket;
}

/// A client of MQTT 3.1.1 without TLS, which blocks.
class PlainDevice {
 public:
  struct Hello {
    std::string_view id = "meter";
    std::uint16_t keep_alive_seconds = 0;  // 0: only the end of the stream tells of its end
    bool is_clean = true;                  // its session ends with its connection
  };

  explicit PlainDevice(const std::string& address) : socket_(connect_to(address)) {
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    EXPECT_EQ(::setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
  }

  void send_connect(const Hello& hello) {
    mqtt::Output bytes;
    encode(mqtt::Connect{.version = kVersion,
                         .clean_start = hello.is_clean,
                         .keep_alive_seconds = hello.keep_alive_seconds,
                         .client_id = hello.id,
                         .user_name = "",
                         .password = std::as_bytes(std::span(std::string_view("token")))},
           bytes);
    send(bytes);
  }
  /// Of QoS 0, which has no answer.
  void send_message() { send_packet(mqtt::Publish{.topic = "t"}); }
  /// Telemetry, of QoS 2.
  void send_exactly_once() {
    send_packet(mqtt::Publish{.topic = "tenant/blue/device/meter/telemetry",
                              .qos = mqtt::Qos::kExactlyOnce,
                              .packet_id = 1});
  }
  /// As many, of QoS 1.
  void send_messages(int count) { send_all(count, {.topic = "tenant/blue/device/meter/up/a"}); }
  void send_retained(int count) { send_all(count, {.topic = "kept", .retain = true}); }
  void send_subscribe(std::string_view filter) {
    mqtt::FilterListBuilder filters(true, kVersion);
    filters.add({.filter = filter});
    send_packet(mqtt::Subscribe{.packet_id = 1, .filters = filters.view()});
  }
  void send_ping() { send({std::byte{0xC0}, std::byte{0}}); }
  void send_half_a_packet() { send({std::byte{0x30}}); }
  void send_disconnect() { send_packet(mqtt::Disconnect{}); }
  void leave() { socket_.close(); }

  bool is_accepted() {
    std::array<char, 4> connack{};
    return ::recv(socket_.fd(), connack.data(), connack.size(), MSG_WAITALL) == 4 &&
           connack[3] == 0;
  }
  /// The type of the next packet that it gets, all of which are short; 0: none comes.
  int next_packet() {
    std::array<char, 5> bytes{};
    if (::recv(socket_.fd(), bytes.data(), 2, MSG_WAITALL) != 2) return 0;
    const auto size = static_cast<std::size_t>(bytes[1]);
    if (size > 3) return 0;
    if (size > 0) read(size);
    return (bytes[0] & 0xF0) >> 4;
  }
  void read(std::size_t size) {
    std::vector<char> bytes(size);
    EXPECT_EQ(::recv(socket_.fd(), bytes.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
  }
  std::size_t read_what_is_there() {
    std::vector<char> bytes(65'536);
    std::size_t total = 0;
    while (true) {
      const auto size = ::recv(socket_.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (size <= 0) return total;
      total += static_cast<std::size_t>(size);
    }
  }
  bool hears_nothing() {
    char byte{};
    return ::recv(socket_.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }
  /// The stream has ended as it should.
  bool is_at_end() {
    char byte{};
    return ::recv(socket_.fd(), &byte, 1, 0) == 0;
  }
  /// It has ended, as it should or by a reset.
  bool is_gone() {
    char byte{};
    return ::recv(socket_.fd(), &byte, 1, 0) <= 0 && errno != EAGAIN;
  }

 private:
  static constexpr auto kVersion = mqtt::Version::kV311;

  void send(const mqtt::Output& bytes) {
    EXPECT_EQ(::send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void send_packet(const auto& packet) {
    mqtt::Output bytes;
    encode(packet, kVersion, bytes);
    send(bytes);
  }
  void send_all(int count, mqtt::Publish publish) {
    publish.qos = mqtt::Qos::kAtLeastOnce;
    mqtt::Output bytes;
    for (int i = 0; i < count; ++i) {
      publish.packet_id = ++last_packet_id_;
      encode(publish, kVersion, bytes);
    }
    send(bytes);
  }

  net::Socket socket_;
  std::uint16_t last_packet_id_ = 0;
};

}  // namespace sluice::front::testing
