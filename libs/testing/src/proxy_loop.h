#pragma once

#include "link.h"
#include "sockets.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/testing/fault_proxy.h>

#include <poll.h>

namespace sluice::testing {

/// The proxy's thread, which alone touches what it owns; others hand it functions to run.
class ProxyLoop {
 public:
  ProxyLoop(const FaultProxy::Options& options, SocketAddress target, Fd listener, Fd wake);
  virtual ~ProxyLoop() = default;
  ProxyLoop(const ProxyLoop&) = delete;
  ProxyLoop& operator=(const ProxyLoop&) = delete;

  /// Runs the function on the thread, between two pieces of I/O, and waits for its end.
  void perform(const std::function<void()>& task);
  void start();
  void stop();

  const SocketAddress address;  // where clients come

  // For functions that perform() runs.
  FaultState& state(Direction direction) { return direction == Direction::kUp ? up_ : down_; }
  void set_refusing(bool refusing) { is_refusing_ = refusing; }
  virtual void reset_all() = 0;
  virtual void half_close_all(Direction direction) = 0;
  FaultProxy::Stats stats() const;

 protected:
  /// Passes on what is due.
  virtual void pass_on(MonoTime now) = 0;
  /// Says what to wait for.
  virtual void add_waits(MonoTime now) = 0;
  /// Takes what has come; the sockets are those of add_waits(), in its order.
  virtual void take(MonoTime now) = 0;
  virtual std::size_t open_connections() const = 0;

  void wait_for(int socket, short events) {
    waits_.push_back({.fd = socket, .events = events, .revents = 0});
  }
  void wake_by(MonoTime time) { wake_at_ = std::min(wake_at_, time); }
  /// When this link next has something to do by the clock alone.
  void wake_for(const Link& link, const FaultState& state, MonoTime now);

  const FaultProxy::Options options_;
  const SocketAddress target_;
  const Fd listener_;
  FaultState up_;
  FaultState down_;
  bool is_refusing_ = false;
  FaultProxy::Stats stats_;
  std::vector<pollfd> waits_;

 private:
  void run();
  bool run_tasks();

  const SystemClock clock_;
  const Fd wake_;
  MonoTime wake_at_{};

  std::mutex mutex_;
  std::condition_variable done_;
  std::vector<const std::function<void()>*> tasks_;
  std::uint64_t tasks_given_ = 0;
  std::uint64_t tasks_done_ = 0;
  bool is_stopping_ = false;
  std::thread thread_;
};

std::unique_ptr<ProxyLoop> make_tcp_loop(const FaultProxy::Options& options, SocketAddress target,
                                         Fd listener, Fd wake);
std::unique_ptr<ProxyLoop> make_udp_loop(const FaultProxy::Options& options, SocketAddress target,
                                         Fd listener, Fd wake);

}  // namespace sluice::testing
