#pragma once

#include "core/broker.h"
#include "core/client.h"
#include "core/strangers.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <sluice/net/loop.h>
#include <sluice/net/socket.h>
#include <sluice/net/stream.h>
#include <sluice/net/websocket.h>

namespace sluice::front {

class FrontLoop;
struct ListenerPlan;

/// What counts as one address: of IPv6, a customer's whole network. See Strangers.
std::uint64_t group_of(const net::SocketAddress& address);

/// What a connection over WebSocket has besides.
struct WebSocketState {
  explicit WebSocketState(std::uint64_t max_frame) : decoder(max_frame) {}
  void add_frame(net::WebSocketOpcode opcode, std::span<const std::byte> payload);
  /// One frame for each MQTT packet. Several in one are allowed [MQTT-6.0.0-2], but Paho for C does
  /// not look at the second before more bytes arrive.
  void add_packets(std::span<const std::byte> packets);

  std::unique_ptr<net::WebSocketUpgrade> upgrade = std::make_unique<net::WebSocketUpgrade>();
  net::WebSocketDecoder decoder;
  std::vector<std::byte> output{};  // frames
};

/// The stream of one client: takes it through what comes before MQTT (PROXY header, TLS, WebSocket)
/// and then moves bytes between the kernel and the core. One owner: its loop. Idle, it holds no
/// buffer.
class DeviceSocket final : public net::FdHandler, public Link, private net::Timer {
 public:
  /// `serial`: no other socket of the loop has it, for four billion of them.
  DeviceSocket(FrontLoop& loop, const ListenerPlan& plan, net::Stream stream,
               const net::SocketAddress& peer, std::uint32_t serial);
  /// A client that another loop has read the CONNECT of.
  struct Moved {
    net::Stream stream;
    std::unique_ptr<WebSocketState> web_socket;
    std::vector<std::byte> unread;
    Departure departure;
    Strangers::Stranger stranger;
  };
  DeviceSocket(FrontLoop& loop, const ListenerPlan& plan, Moved moved, std::uint32_t serial);
  ~DeviceSocket();

  /// Takes it on from where it stands. False: the kernel refuses to watch it.
  bool start();
  /// Sends what is to be sent: the loop calls this once per turn for those who asked.
  void flush();
  void prefetch_for_flush(PrefetchStep step) const;
  /// The front may act again: takes up what on_ready() put off.
  void catch_up();
  /// The broker has room for records again.
  void feed_again();
  /// Its turn to be read.
  void resume();
  /// Its turn to be read to the end: the client has left.
  void leave();
  /// It waits for that turn.
  bool is_leaving() const { return is_leaving_; }
  /// What the registry said about the pre-shared key's identity.
  void answer_psk(std::optional<Secret> key);
  /// Closes it at once.
  void abandon() { close("shutdown"); }
  /// For a newcomer; see Strangers.
  void give_way();
  /// What the kernel says.
  std::chrono::milliseconds quiet_for() const { return stream_.quiet_for(); }
  bool is_closed() const { return !stream_.is_open(); }
  /// For answers that come later: descriptors and addresses are used again at once.
  std::uint32_t serial() const { return serial_; }
  int fd() const { return stream_.fd(); }

 private:
  enum class Stage : std::uint8_t { kProxy, kHandshake, kUpgrade, kMqtt, kClosing };

  // net::FdHandler
  void on_ready(std::uint32_t events) override;
  void prefetch(PrefetchStep step) const override;
  // net::Timer: its one deadline, for CONNACK, then for the keep-alive and the end of a pause, then
  // for closing.
  void on_timer() override;
  // Link
  void send_soon() override;
  void close_soon() override;
  bool has_unsent() const override { return unsent() > 0; }
  void read_again() override;
  void pause_until(MonoTime time) override;
  void move_soon(std::size_t loop) override;

  void take_turn();
  void advance();
  bool take_proxy_header();
  bool shake_hands();
  void read();
  bool feed(std::span<std::byte> bytes);
  bool feed_upgrade(std::span<const std::byte> bytes);
  bool feed_frames(std::span<std::byte> bytes);
  bool feed_mqtt(std::span<const std::byte> bytes);
  std::size_t offer(std::span<const std::byte> bytes);
  std::size_t offer_what_may_go_in(std::span<const std::byte> bytes);
  bool must_hold(std::byte first);
  bool may_feed() const;
  bool may_read() const;
  std::size_t read_size() const;
  std::size_t unsent() const;
  bool write_out(std::vector<std::byte>& bytes);
  void finish_closing();
  void hear_out();
  void handshake_over();
  void is_stranger_no_more();
  void arm_deadline();
  bool do_we_listen() const;
  void move_now();
  void close(std::string_view reason);

  FrontLoop& loop_;
  const ListenerPlan& plan_;
  net::Stream stream_;
  Client* client_ = nullptr;
  std::unique_ptr<WebSocketState> web_socket_{};
  std::vector<std::byte>
      unread_{};                   // bytes taken from the kernel that wait for more, or for a turn
  Strangers::Stranger* stranger_;  // the loop's; null from CONNACK on
  MonoTime heard_at_{};
  MonoTime paused_until_{};  // in the past: whether it owes more is to be asked
  std::uint32_t sent_ = 0;   // of the front of what goes out: frames, or the core's output
  std::int32_t moves_to_ = -1;
  const std::uint32_t serial_;
  Stage stage_ = Stage::kProxy;
  bool is_readable_ = false;     // the kernel has bytes that were not asked for yet
  bool peer_has_ended_ = false;  // no more events: to be read to the end
  bool is_held_ = false;         // unread_ begins with a packet that may not go in yet
  bool has_untaken_ = false;     // unread_ is more than the beginning of a packet
  bool wants_flush_ = false;
  bool waits_for_turn_ = false;  // the loop will call resume()
  bool is_starved_ = false;      // the loop will call feed_again()
  bool is_leaving_ = false;      // the loop will call leave()
  bool is_deferred_ = false;     // something happened while the front was fenced
  bool closes_ = false;          // once the output is sent
  bool has_asked_psk_ = false;   // one question a handshake, however many bytes come meanwhile
};

}  // namespace sluice::front
