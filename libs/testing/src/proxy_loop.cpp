#include "proxy_loop.h"

#include <algorithm>
#include <utility>

#include <sys/eventfd.h>

namespace sluice::testing {

ProxyLoop::ProxyLoop(const FaultProxy::Options& options, SocketAddress target, Fd listener, Fd wake)
    : address(local_address(listener)),
      options_(options),
      target_(target),
      listener_(std::move(listener)),
      up_(SimRandom(options.seed)),
      down_(SimRandom(options.seed + 1)),
      wake_(std::move(wake)) {}

void ProxyLoop::start() {
  thread_ = std::thread([this] { run(); });
}

void ProxyLoop::stop() {
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void ProxyLoop::perform(const std::function<void()>& task) {
  std::unique_lock lock(mutex_);
  tasks_.push_back(&task);
  const std::uint64_t ticket = ++tasks_given_;
  ::eventfd_write(wake_.get(), 1);
  done_.wait(lock, [&] { return tasks_done_ >= ticket; });
}

FaultProxy::Stats ProxyLoop::stats() const {
  FaultProxy::Stats stats = stats_;
  stats.open_connections = open_connections();
  return stats;
}

/// Tasks are few and short; running them under the lock keeps their order with tasks_done_.
bool ProxyLoop::run_tasks() {
  std::unique_lock lock(mutex_);
  for (const auto* task : std::exchange(tasks_, {})) {
    (*task)();
    ++tasks_done_;
  }
  done_.notify_all();
  return !is_stopping_;
}

void ProxyLoop::run() {
  constexpr auto kLongest = std::chrono::seconds(60);  // poll(2) takes an int of milliseconds
  while (run_tasks()) {
    const MonoTime now = clock_.mono();
    pass_on(now);
    waits_.clear();
    wake_at_ = now + kLongest;
    add_waits(now);
    waits_.push_back({.fd = wake_.get(), .events = POLLIN, .revents = 0});
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(wake_at_ - clock_.mono());
    ::poll(waits_.data(), waits_.size(), static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (waits_.back().revents != 0) {
      eventfd_t ignored = 0;
      ::eventfd_read(wake_.get(), &ignored);
    }
    take(clock_.mono());
  }
}

void ProxyLoop::wake_for(const Link& link, const FaultState& state, MonoTime now) {
  if (link.pieces.empty() || link.is_blocked || state.faults.frozen) return;
  const MonoTime due = link.pieces.begin()->first;
  // What is due and still here waits for its share of bytes_per_second, which comes with every
  // moment.
  wake_by(due > now ? due : now + std::chrono::milliseconds(1));
}

}  // namespace sluice::testing
