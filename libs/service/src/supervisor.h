#pragma once

#include "core.h"
#include "socket.h"

#include <atomic>
#include <memory>
#include <thread>

namespace sluice::service {

/// Turns signals into the orderly end, and ends a process that does not come to it: a thread of its
/// own, which nothing the service does can hold up. SIGTERM and SIGINT must be blocked in every
/// thread. Writes nothing to the log but last words, since a reader of the log that has stopped
/// holds up whoever writes to it.
class Supervisor {
 public:
  static Result<std::unique_ptr<Supervisor>> start(runtime_detail::Core& core);
  /// The service has ended: no deadline any more.
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

 private:
  Supervisor(runtime_detail::Core& core, Descriptor signals, Descriptor wake);
  void run();
  void take_signal();
  void check_deadline();

  runtime_detail::Core& core_;
  const Descriptor signals_;
  const Descriptor wake_;
  int first_signal_ = 0;  // of the thread
  std::atomic<bool> has_ended_{false};
  std::jthread thread_;  // last: ends before what it uses
};

/// Before the last words of a process: ends it with this status after a second, should the log hold
/// them up.
void limit_last_words(int exit_status);

/// Blocks what the supervisor waits for, in this thread and all it will start; ignores SIGPIPE.
void block_signals();

}  // namespace sluice::service
