#include "scheduling.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include <sched.h>
#include <unistd.h>

namespace sluice::load {

namespace {

/// Of a thread, which is what the kernel means by 0.
bool set_policy(int policy, int priority) {
  sched_param parameters{};
  parameters.sched_priority = priority;
  return sched_setscheduler(0, policy, &parameters) == 0;
}

bool put_session_last() {
  if (getsid(0) != getpid()) return false;
  std::ofstream file("/proc/self/autogroup");
  file << "19" << std::flush;
  return file.good();
}

}  // namespace

Scheduling schedule_first() {
  // What it may start is no part of it.
  if (set_policy(SCHED_FIFO | SCHED_RESET_ON_FORK, 1)) {
    return {.is_as_wanted = true, .words = "SCHED_FIFO"};
  }
  return {.words = std::string("as everybody: ") + std::strerror(errno)};
}

Scheduling schedule_last(bool with_session) {
  if (!set_policy(SCHED_IDLE, 0)) {
    return {.words = std::string("as everybody: ") + std::strerror(errno)};
  }
  const bool is_last = with_session && put_session_last();
  return {.is_as_wanted = true, .words = is_last ? "SCHED_IDLE, session of nice 19" : "SCHED_IDLE"};
}

}  // namespace sluice::load
