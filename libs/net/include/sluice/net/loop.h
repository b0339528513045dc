#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/prefetch.h>
#include <sluice/base/result.h>
#include <sluice/metrics/metrics.h>
#include <sluice/net/socket.h>
#include <sluice/net/timer_wheel.h>

#include <sys/epoll.h>

namespace sluice::net {

/// Of a handler, what the loop asks the processor for by itself.
inline constexpr std::size_t kPrefetchedHandler = 192;

/// What the loop calls when something happens to a descriptor. May remove and destroy itself or any
/// other handler while it is called: events of the same batch that were for those are dropped.
class FdHandler {
 public:
  /// `events` are epoll's: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLERR, EPOLLHUP.
  virtual void on_ready(std::uint32_t events) = 0;
  /// on_ready() is likely to come soon: the handler, as far as kPrefetchedHandler reaches, has been
  /// asked for, and may ask for what else it will use. Called with some of the steps, in their
  /// order; changes nothing.
  virtual void prefetch(PrefetchStep step) const { static_cast<void>(step); }

 protected:
  ~FdHandler() = default;
};

/// What a stream's descriptor is registered with, once for its life: edge-triggered, so that
/// waiting for room to write costs no epoll_ctl() and a read that came up short needs no second one
/// to learn that there is no more (see Stream::read).
inline constexpr std::uint32_t kStreamEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

struct LoopOptions {
  std::size_t inbox_capacity = 65'536;  // tasks of other threads waiting for their turn
  std::size_t events_per_turn = 512;    // taken from the kernel at once
  /// 0 to 5 ms. Pauses that long before looking for events, as long as the last turn found fewer
  /// than events_per_turn / 8, so that one turn serves many: saves wake-ups at light load for that
  /// much latency. A post ends the pause.
  std::chrono::milliseconds nap{0};
};

/// One thread's event loop: descriptors, timers, and tasks handed in by other threads. All members
/// belong to the thread that calls run() (before that, to whoever makes it) except post(),
/// try_post() and stop(), which any thread may call.
class Loop {
 public:
  using Task = std::move_only_function<void()>;

  /// `clock` and `registry` must outlive it.
  static Result<std::unique_ptr<Loop>> create(LoopOptions options, const Clock& clock,
                                              Registry& registry);
  ~Loop();  // destroys tasks that have not run, without running them
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Until stop(). What was posted before stop() has run when it returns.
  void run();
  /// One turn that waits no longer than `limit`: for tests and for loops that somebody else drives.
  void run_once(std::chrono::milliseconds limit);
  void stop();

  /// False, counted, when inbox_capacity tasks wait already; the task is then untouched. Wakes the
  /// loop only when the inbox was empty: a burst costs one system call, and none from its own
  /// thread.
  bool try_post(Task&& task);
  /// Takes the task in any case: for rare messages of control (a reload, a hand-over of a
  /// connection that is bounded elsewhere), never for what devices can cause at will.
  void post(Task task);

  /// An error when the kernel refuses (limit of watches). One handler per descriptor.
  Result<> add(int fd, std::uint32_t events, FdHandler& handler);
  void modify(int fd, std::uint32_t events);
  /// Before the descriptor is closed. The handler is not called any more, not even for events that
  /// were taken from the kernel already. Nothing happens when it is not registered.
  void remove(int fd);

  /// Rounded up to ms; TimerWheel says what else about delays.
  void arm(Timer& timer, std::chrono::nanoseconds delay);

  /// Called in every turn after events, tasks and timers, before it sleeps, in the order of adding:
  /// where batches gathered in the turn are sent.
  void before_wait(std::move_only_function<void()> hook);

  /// Read once per turn.
  MonoTime now() const { return now_; }
  /// Whether the caller is inside run() or run_once() of this loop.
  bool is_current() const;

 private:
  struct Watch {
    FdHandler* handler = nullptr;
    std::uint32_t generation = 0;  // tells an old event from the descriptor's new owner
  };
  struct Metrics;

  Loop(LoopOptions options, const Clock& clock, Registry& registry, Socket epoll, Socket wake);
  void turn(std::chrono::milliseconds limit);
  void wake();
  bool has_tasks();
  void run_tasks();
  void dispatch(int count);
  const FdHandler* handler_of(int event, int count) const;
  void look_ahead(int event, int count) const;
  void read_clock();
  bool nap(int timeout_ms);
  int timeout_until_next(std::chrono::milliseconds limit) const;

  const LoopOptions options_;
  const Clock& clock_;
  std::unique_ptr<Metrics> metrics_;
  const Socket epoll_;
  const Socket wake_;  // eventfd
  MonoTime start_;
  MonoTime now_;
  TimerWheel wheel_;
  std::vector<Watch> watches_;  // by descriptor
  std::vector<epoll_event> events_;
  std::vector<std::move_only_function<void()>> hooks_;
  bool is_light_ = false;  // the last turn found few events
  std::atomic<bool> is_stopping_{false};
  std::vector<Task> running_;  // the batch taken from the inbox; kept for its capacity

  std::mutex mutex_;  // guards inbox_
  std::vector<Task> inbox_;
};

}  // namespace sluice::net
