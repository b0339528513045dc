#pragma once

#include "adapters/device_socket.h"
#include "adapters/kafka_sink.h"
#include "adapters/loop_clock.h"
#include "core/broker.h"
#include "core/strangers.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <sluice/net/listener.h>
#include <sluice/net/loop.h>
#include <sluice/net/tls_context.h>
#include <sluice/net/websocket.h>

namespace sluice::front {

/// One place where devices come in, the same on every loop.
struct ListenerPlan {
  std::string name{};     // "mqtt", "mqtts", "ws", "wss", "psk": for metrics and address_file
  std::string address{};  // host:port; the port as bound once the first loop listens
  net::TlsContext* tls = nullptr;
  bool is_web_socket = false;
  bool expects_proxy_header = false;
  net::WebSocketOptions web_socket{};
  std::string tenant_uri_prefix{};  // a SAN URI that begins so names the tenant with its rest
  std::chrono::milliseconds connect_timeout{5000};  // from TCP to CONNACK
  std::size_t max_output = 256 * 1024;
};

/// What finds keys of TLS-PSK clients. Thread-safe; answers on any thread.
using FindPsk =
    std::function<void(std::string identity, std::move_only_function<void(std::optional<Secret>)>)>;

/// One thread: its sockets, its clients, its producer. Everything here belongs to that thread
/// except where it says otherwise.
class FrontLoop {
 public:
  struct Parts {
    net::LoopOptions loop_options{};
    const Clock& clock;
    Registry& registry;
    const std::vector<ListenerPlan>& plans;
    ConnectionAdmission& admission;
    std::size_t max_sockets = 100'000;  // of this loop
    FindPsk find_psk{};
    /// Whether this front may acknowledge and deliver; see RedisSessionStore.
    std::function<bool(MonoTime)> may_act{};
  };
  static Result<std::unique_ptr<FrontLoop>> create(Parts parts);
  ~FrontLoop();

  /// What its core works with; before start(). `peers` are all loops, this one among them.
  void attach(std::unique_ptr<KafkaSink> sink, std::unique_ptr<Broker> broker,
              std::vector<FrontLoop*> peers);
  KafkaSink& sink() { return *sink_; }
  /// For its core.
  const Clock& clock() const { return clock_; }

  /// Binds the listeners, writing a port that the system chose into `plans`; before start().
  Result<> listen(std::vector<ListenerPlan>& plans);
  void start();
  /// Any thread: runs `task` on the loop.
  void post(std::move_only_function<void()> task) { loop_->post(std::move(task)); }
  /// Any thread: ends all connections, since another front may own their sessions. Nothing is read,
  /// acknowledged or delivered from this call on until they are ended.
  void drop_all(std::string reason);
  /// Any thread: accepts no more connections.
  void stop_listening();
  /// Any thread: accepts no more connections and ends those there are. The loop runs on, for what
  /// they leave behind.
  void end_connections();
  /// On the loop: sessions that are not let go of, records that Kafka has not answered for, and
  /// messages under way that no client answers for. 0 while it is fenced, as it does nothing about
  /// them.
  std::size_t unsettled() const;
  /// Any thread; returns when the thread has ended, and all connections have.
  void stop();
  /// After stop(): waits until Kafka has what is in the producer and what had no room in it; its
  /// answers go to the broker, but no answer of the session store does any more. Returns how many
  /// records Kafka does not have at the deadline.
  std::size_t flush_records(MonoTime deadline);
  /// After stop(): lets go of its sockets and of what attach() gave it. Work may still be posted;
  /// it does not run any more.
  void detach();

  // For its sockets.
  net::Loop& loop() { return *loop_; }
  Broker& broker() { return *broker_; }
  ConnectionAdmission& admission() { return parts_.admission; }
  Strangers& strangers() { return strangers_; }
  std::span<std::byte> buffer() { return buffer_; }
  void flush_later(DeviceSocket& socket) { to_flush_.push_back(&socket); }
  void read_later(DeviceSocket& socket) { to_read_.push_back(&socket); }
  void leave_later(DeviceSocket& socket) { leaving_.push_back(&socket); }
  void add_starved(DeviceSocket& socket) { starved_.push_back(&socket); }
  /// While this front may not act, nothing of a client is read, because reading leads to records,
  /// and nothing is sent.
  bool is_fenced() const;
  /// The socket has something to do once the front is not fenced any more.
  void defer(DeviceSocket& socket) { deferred_.push_back(&socket); }
  void forget(DeviceSocket& socket, int fd);
  void move(std::size_t target, const ListenerPlan& plan, DeviceSocket::Moved moved);
  void find_psk(DeviceSocket& socket, std::string_view identity);

 private:
  explicit FrontLoop(Parts parts, std::unique_ptr<net::Loop> loop);
  /// Wakes the loop, for what nobody announces: before_wait() looks anyway.
  struct Alarm final : net::Timer {
    void on_timer() override {}
  };
  struct KafkaWake final : net::FdHandler {
    void on_ready(std::uint32_t) override {}  // before_wait() polls anyway
  };

  bool admit(const net::SocketAddress& peer);
  void accepted(const ListenerPlan& plan, net::Socket socket, const net::SocketAddress& peer);
  void adopt(std::unique_ptr<DeviceSocket> socket, int fd);
  void end_turn();
  void let_some_leave();
  void wait_until_allowed();
  void catch_up();

  Parts parts_;
  std::unique_ptr<net::Loop> loop_;
  LoopClock clock_{*loop_, parts_.clock};
  Counter full_;
  Counter gave_way_;
  Strangers strangers_;
  std::size_t open_ = 0;  // sockets
  std::unique_ptr<KafkaSink> sink_;
  std::unique_ptr<Broker> broker_;
  std::vector<FrontLoop*> peers_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  std::vector<std::unique_ptr<DeviceSocket>> sockets_;  // by descriptor
  std::vector<std::unique_ptr<DeviceSocket>> gone_;     // destroyed at the end of the turn
  std::vector<DeviceSocket*> to_flush_;
  std::vector<DeviceSocket*> to_read_;
  std::deque<DeviceSocket*> leaving_;    // their clients have left, in that order
  std::vector<DeviceSocket*> starved_;   // have bytes, while Kafka has no room
  std::vector<DeviceSocket*> deferred_;  // had events while fenced
  std::vector<DeviceSocket*> turn_;      // kept for its memory
  std::vector<std::byte> buffer_;
  KafkaWake kafka_wake_;
  Alarm kafka_check_;
  Alarm due_;          // for Broker::run_due()
  Alarm fence_check_;  // nobody says when a lease is valid again
  std::uint32_t last_serial_ = 0;
  bool waits_ = false;                          // for the end of a fence
  std::atomic<std::uint32_t> drops_ordered_{};  // by drop_all()
  std::uint32_t drops_done_ = 0;
  std::jthread thread_;
};

}  // namespace sluice::front
