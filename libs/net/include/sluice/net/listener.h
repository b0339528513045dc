#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <sluice/base/result.h>
#include <sluice/metrics/metrics.h>
#include <sluice/net/loop.h>
#include <sluice/net/socket.h>

namespace sluice::net {

struct ListenerOptions {
  std::string address{};  // host:port or [IPv6]:port; port 0: a free one
  /// One listener per loop on one address: the kernel spreads connections over them. Without it a
  /// second process on the address is an error, as one may want.
  bool reuse_port = true;
  /// After so long without a byte the kernel asks whether the peer is still there, and ends the
  /// connection when it is not heard for five minutes: without it, one that waits for bytes alone
  /// would outlive a peer that lost its power for ever. Longer than what protocols say by
  /// themselves, as waking a device for it costs its battery. 0: never.
  std::chrono::seconds keep_alive{30 * 60};
  std::size_t accepts_per_turn = 64;  // so that a storm of connects does not hold up live traffic
  /// How long nothing is accepted after the process ran out of descriptors or memory. Connections
  /// wait in the kernel's backlog meanwhile.
  std::chrono::milliseconds exhausted_pause{100};
  std::string name{};  // label of its metrics: "mqtt", "mqtts", "wss"
};

/// Accepts TCP connections: backlog of net.core.somaxconn, TCP_NODELAY, non-blocking,
/// close-on-exec. Belongs to its loop's thread.
class Listener final : FdHandler {
 public:
  /// Asked before anything is spent on a connection, TLS least of all. False closes it with RST.
  using Admission = std::move_only_function<bool(const SocketAddress& peer)>;
  using Accepted = std::move_only_function<void(Socket socket, const SocketAddress& peer)>;

  /// `loop` must outlive it. May be destroyed inside its own callbacks no more than any caller may
  /// destroy a function that it is in: post that to the loop.
  static Result<std::unique_ptr<Listener>> open(Loop& loop, ListenerOptions options,
                                                Registry& registry, Admission admit,
                                                Accepted accepted);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// The address bound, with the port that the system chose.
  const SocketAddress& address() const { return address_; }

  /// Leaves new connections in the kernel's backlog until resume().
  void pause();
  void resume();
  /// Stops for good: new connections are refused, those in the backlog reset.
  void close();

 private:
  struct Metrics;
  struct ResumeTimer final : Timer {
    explicit ResumeTimer(Listener& listener) : owner(listener) {}
    void on_timer() override { owner.watch(); }
    Listener& owner;
  };

  Listener(Loop& loop, ListenerOptions options, Registry& registry, Socket socket,
           SocketAddress address, Admission admit, Accepted accepted);
  void on_ready(std::uint32_t events) override;
  void take(Socket socket, const SocketAddress& peer);
  void on_accept_error(int error);
  void watch();
  void unwatch();

  Loop& loop_;
  const ListenerOptions options_;
  std::unique_ptr<Metrics> metrics_;
  Socket socket_;
  const SocketAddress address_;
  Admission admit_;
  Accepted accepted_;
  ResumeTimer resume_timer_{*this};
  bool is_paused_ = false;
  bool is_watched_ = false;
};

}  // namespace sluice::net
