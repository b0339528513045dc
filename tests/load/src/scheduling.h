#pragma once

#include <string>

namespace sluice::load {

/// What a thread was given, in words for the report.
struct Scheduling {
  bool is_as_wanted = false;
  std::string words{};
};

/// Puts the calling thread before everything on its CPU that is not of the same kind (SCHED_FIFO),
/// so that what it measures did not wait for its turn. Needs root or CAP_SYS_NICE. For threads that
/// do little alone: one that never sleeps leaves the others of its CPU next to nothing.
Scheduling schedule_first();

/// Puts the calling thread behind everything on its CPU (SCHED_IDLE, which anybody may).
/// `with_session`: its session as well. Where the kernel groups tasks by session, as autogroups,
/// that is what counts against other sessions; done only where this process leads one, as a shell
/// would else find itself behind everything too. It leaves threads of schedule_first() alone.
Scheduling schedule_last(bool with_session);

}  // namespace sluice::load
