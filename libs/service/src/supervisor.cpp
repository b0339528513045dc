#include "supervisor.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <format>

#include <sluice/service/run.h>

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace sluice::service {
namespace {

using std::chrono::milliseconds;

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

volatile std::sig_atomic_t last_exit_status = 0;

extern "C" void end_at_once(int /*signal*/) { _exit(last_exit_status); }

}  // namespace

void limit_last_words(int exit_status) {
  last_exit_status = exit_status;
  std::signal(SIGALRM, &end_at_once);
  sigset_t alarm_only;
  sigemptyset(&alarm_only);
  sigaddset(&alarm_only, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &alarm_only, nullptr);
  alarm(1);
}

void block_signals() {
  const sigset_t set = ending_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // A peer that hung up is an error of the write that finds out, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
}

Result<std::unique_ptr<Supervisor>> Supervisor::start(runtime_detail::Core& core) {
  const sigset_t set = ending_signals();
  Descriptor signals(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!signals) {
    return fail(ErrorCode::kUnavailable, std::format("signalfd: {}", std::strerror(errno)));
  }
  SLUICE_TRY_ASSIGN(Descriptor wake, make_event());
  return std::unique_ptr<Supervisor>(new Supervisor(core, std::move(signals), std::move(wake)));
}

Supervisor::Supervisor(runtime_detail::Core& core, Descriptor signals, Descriptor wake)
    : core_(core), signals_(std::move(signals)), wake_(std::move(wake)) {
  core_.on_change([this] { raise_event(wake_); });
  thread_ = std::jthread([this] { run(); });
}

Supervisor::~Supervisor() {
  core_.on_change(nullptr);
  has_ended_ = true;
  raise_event(wake_);
}

void Supervisor::run() {
  while (!has_ended_) {
    int timeout = -1;
    if (const auto deadline = core_.end_deadline()) {
      const auto left = std::chrono::ceil<milliseconds>(*deadline - core_.clock.mono());
      timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, INT_MAX));
    }
    pollfd polled[2] = {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                        {.fd = wake_.get(), .events = POLLIN, .revents = 0}};
    poll(polled, 2, timeout);
    if (has_ended_) return;
    if (polled[1].revents != 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t size = read(wake_.get(), &count, sizeof count);
    }
    if (polled[0].revents != 0) take_signal();
    check_deadline();
  }
}

void Supervisor::take_signal() {
  signalfd_siginfo info{};
  if (read(signals_.get(), &info, sizeof info) != sizeof info) return;
  const int number = static_cast<int>(info.ssi_signo);
  const std::string_view name = number == SIGTERM ? "SIGTERM" : "SIGINT";
  if (first_signal_ != 0) {
    limit_last_words(128 + number);
    core_.log.warning("second_signal", {{"signal", name}, {"exit_status", 128 + number}});
    _exit(128 + number);
  }
  first_signal_ = number;
  core_.ask_stop(name);
}

void Supervisor::check_deadline() {
  const auto deadline = core_.end_deadline();
  if (!deadline || core_.clock.mono() < *deadline) return;
  limit_last_words(kExitGraceExceeded);
  core_.log.error("shutdown_grace_exceeded", {{"state", core_.readiness().state},
                                              {"component", core_.stopping_component()},
                                              {"exit_status", int{kExitGraceExceeded}}});
  // Not exit(): destructors would wait for the very threads that do not end.
  _exit(kExitGraceExceeded);
}

}  // namespace sluice::service
