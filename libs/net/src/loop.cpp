#include <sluice/net/loop.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sluice/base/check.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace sluice::net {
namespace {

// Which loop this thread is running; null outside of turns.
thread_local const Loop* current_loop = nullptr;

Error kernel_refuses(const char* call) {
  const int error = errno;
  const bool is_limit = error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOSPC;
  return {is_limit ? ErrorCode::kResourceExhausted : ErrorCode::kInternal,
          std::string(call) + ": " + std::strerror(error)};
}

std::uint64_t tag(int fd, std::uint32_t generation) {
  return std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(fd);
}

}  // namespace

struct Loop::Metrics {
  explicit Metrics(Registry& registry)
      : inbox_refused(registry.counter("sluice_net_inbox_refused_total",
                                       "Tasks refused because a loop's inbox was full.")),
        turns(registry.counter("sluice_net_loop_turns_total", "Turns of the event loops.")),
        events(registry.counter("sluice_net_loop_events_total",
                                "Events of descriptors that the loops handled.")) {}
  Counter inbox_refused;
  Counter turns;
  Counter events;
};

Result<std::unique_ptr<Loop>> Loop::create(LoopOptions options, const Clock& clock,
                                           Registry& registry) {
  Socket epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.is_open()) return fail(kernel_refuses("epoll_create1"));
  Socket wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.is_open()) return fail(kernel_refuses("eventfd"));
  // Edge-triggered and never read: each write is a new edge, and the counter overflows after 2^64
  // of them.
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = tag(wake.fd(), 0)}};
  if (epoll_ctl(epoll.fd(), EPOLL_CTL_ADD, wake.fd(), &event) != 0) {
    return fail(kernel_refuses("epoll_ctl"));
  }
  options.events_per_turn = std::clamp<std::size_t>(options.events_per_turn, 1, 65'536);
  return std::unique_ptr<Loop>(
      new Loop(options, clock, registry, std::move(epoll), std::move(wake)));
}

Loop::Loop(LoopOptions options, const Clock& clock, Registry& registry, Socket epoll, Socket wake)
    : options_(options),
      clock_(clock),
      metrics_(std::make_unique<Metrics>(registry)),
      epoll_(std::move(epoll)),
      wake_(std::move(wake)),
      start_(clock.mono()),
      now_(start_),
      events_(options_.events_per_turn) {}

Loop::~Loop() = default;

bool Loop::is_current() const { return current_loop == this; }

void Loop::run() {
  while (!is_stopping_.load(std::memory_order_acquire)) turn(std::chrono::hours(1));
  const Loop* const outer = std::exchange(current_loop, this);
  run_tasks();
  current_loop = outer;
}

void Loop::run_once(std::chrono::milliseconds limit) { turn(limit); }

void Loop::stop() {
  is_stopping_.store(true, std::memory_order_release);
  wake();
}

bool Loop::try_post(Task&& task) {
  bool was_empty = false;
  {
    std::lock_guard lock(mutex_);
    if (inbox_.size() >= options_.inbox_capacity) {
      metrics_->inbox_refused.add();
      return false;
    }
    was_empty = inbox_.empty();
    inbox_.push_back(std::move(task));
  }
  // Our own thread looks into the inbox before it sleeps.
  if (was_empty && !is_current()) wake();
  return true;
}

void Loop::post(Task task) {
  bool was_empty = false;
  {
    std::lock_guard lock(mutex_);
    was_empty = inbox_.empty();
    inbox_.push_back(std::move(task));
  }
  if (was_empty && !is_current()) wake();
}

bool Loop::has_tasks() {
  std::lock_guard lock(mutex_);
  return !inbox_.empty();
}

void Loop::wake() {
  const std::uint64_t one = 1;
  // Can only fail when the counter is full, and then the loop has been woken.
  [[maybe_unused]] const auto written = write(wake_.fd(), &one, sizeof(one));
}

Result<> Loop::add(int fd, std::uint32_t events, FdHandler& handler) {
  SLUICE_CHECK(fd >= 0);
  const auto index = static_cast<std::size_t>(fd);
  if (index >= watches_.size()) watches_.resize(std::max(index + 1, watches_.size() * 2));
  Watch& watch = watches_[index];
  SLUICE_CHECK(watch.handler == nullptr);
  epoll_event event{.events = events, .data = {.u64 = tag(fd, watch.generation)}};
  if (epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail(kernel_refuses("epoll_ctl"));
  }
  watch.handler = &handler;
  return {};
}

void Loop::modify(int fd, std::uint32_t events) {
  const Watch& watch = watches_.at(static_cast<std::size_t>(fd));
  SLUICE_CHECK(watch.handler != nullptr);
  epoll_event event{.events = events, .data = {.u64 = tag(fd, watch.generation)}};
  SLUICE_CHECK(epoll_ctl(epoll_.fd(), EPOLL_CTL_MOD, fd, &event) == 0);
}

void Loop::remove(int fd) {
  const auto index = static_cast<std::size_t>(fd);
  if (fd < 0 || index >= watches_.size() || watches_[index].handler == nullptr) return;
  watches_[index].handler = nullptr;
  ++watches_[index].generation;
  epoll_ctl(epoll_.fd(), EPOLL_CTL_DEL, fd, nullptr);
}

void Loop::arm(Timer& timer, std::chrono::nanoseconds delay) {
  using std::chrono::ceil;
  using std::chrono::milliseconds;
  // From where the wheel stands, which may lie behind now_, so that nothing fires early.
  const auto wheel_at = start_ + milliseconds(wheel_.now());
  const auto ticks = ceil<milliseconds>(now_ + std::max(delay, {}) - wheel_at).count();
  wheel_.arm(timer, static_cast<TimerWheel::Ticks>(std::max<std::int64_t>(ticks, 0)));
}

void Loop::before_wait(std::move_only_function<void()> hook) { hooks_.push_back(std::move(hook)); }

void Loop::read_clock() { now_ = clock_.mono(); }

int Loop::timeout_until_next(std::chrono::milliseconds limit) const {
  using std::chrono::ceil;
  using std::chrono::milliseconds;
  auto wait = std::max(limit, milliseconds(0));
  if (const auto due = wheel_.next_due()) {
    // By the clock and not by now_: the hooks may have taken long.
    const auto left = start_ + milliseconds(*due) - clock_.mono();
    wait = std::clamp(ceil<milliseconds>(left), milliseconds(0), wait);
  }
  return static_cast<int>(wait.count());
}

/// True when tasks wait, whose wake-up it has then used up.
bool Loop::nap(int timeout_ms) {
  const auto length = std::min<std::int64_t>(options_.nap.count(), timeout_ms);
  if (length <= 0 || !is_light_) return false;
  // On the inbox' descriptor, drained first, so that a task of another thread does not wait.
  std::uint64_t posted = 0;
  if (read(wake_.fd(), &posted, sizeof(posted)) > 0) return true;
  pollfd inbox{.fd = wake_.fd(), .events = POLLIN, .revents = 0};
  poll(&inbox, 1, static_cast<int>(length));
  return false;
}

void Loop::turn(std::chrono::milliseconds limit) {
  const Loop* const outer = std::exchange(current_loop, this);
  for (auto& hook : hooks_) hook();
  // What is posted from here on by others writes to the inbox' descriptor.
  int timeout = has_tasks() ? 0 : timeout_until_next(limit);
  if (nap(timeout) || is_stopping_.load(std::memory_order_acquire)) timeout = 0;
  const int count =
      epoll_wait(epoll_.fd(), events_.data(), static_cast<int>(events_.size()), timeout);
  read_clock();
  metrics_->turns.add();
  if (count > 0) dispatch(count);
  // 0 is idle, not light: the first event after silence is to be answered at once, and so is what
  // comes with the next.
  is_light_ = count > 0 && static_cast<std::size_t>(count) <= events_.size() / 8;
  run_tasks();
  const auto passed = std::chrono::floor<std::chrono::milliseconds>(now_ - start_).count();
  wheel_.advance(static_cast<TimerWheel::Ticks>(std::max<std::int64_t>(passed, 0)));
  current_loop = outer;
}

const FdHandler* Loop::handler_of(int event, int count) const {
  if (event >= count) return nullptr;
  const auto fd = static_cast<std::uint32_t>(events_[static_cast<std::size_t>(event)].data.u64);
  return fd < watches_.size() ? watches_[fd].handler : nullptr;
}

// An event is mostly a read and maybe a write: more than enough time for a step.
void Loop::look_ahead(int event, int count) const {
  prefetch(handler_of(event + 4, count), kPrefetchedHandler);
  const auto tell = [&](int ahead, PrefetchStep step) {
    const FdHandler* const handler = handler_of(event + ahead, count);
    if (handler != nullptr) handler->prefetch(step);
  };
  tell(3, PrefetchStep::kObject);
  tell(2, PrefetchStep::kPointees);
  tell(1, PrefetchStep::kBehind);
}

void Loop::dispatch(int count) {
  metrics_->events.add(static_cast<std::uint64_t>(count));
  for (int i = 0; i < count; ++i) {
    look_ahead(i, count);
    // A copy: a handler may run the loop's add(), but never another turn.
    const epoll_event event = events_[static_cast<std::size_t>(i)];
    const auto fd = static_cast<std::uint32_t>(event.data.u64);
    if (fd >= watches_.size()) continue;  // the inbox' descriptor
    const Watch& watch = watches_[fd];
    const auto generation = static_cast<std::uint32_t>(event.data.u64 >> 32);
    if (watch.handler == nullptr || watch.generation != generation) continue;
    watch.handler->on_ready(event.events);
  }
}

void Loop::run_tasks() {
  {
    std::lock_guard lock(mutex_);
    if (inbox_.empty()) return;
    running_.swap(inbox_);
  }
  // One batch a turn: tasks that post tasks do not keep descriptors waiting.
  for (Task& task : running_) std::exchange(task, nullptr)();
  running_.clear();
}

}  // namespace sluice::net
