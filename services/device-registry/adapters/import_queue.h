#pragma once

#include "core/importer.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <sluice/base/bounded_queue.h>
#include <sluice/base/result.h>
#include <sluice/http/body_reader.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::registry {

/// Takes uploads off the hands of their senders and imports them on threads of its own, so that a
/// sender may leave as soon as it has an operation to ask after.
///
/// An upload waits in a file that has no name: it goes with the process whatever ends that. It is
/// read to its end before the import begins, because the same Idempotency-Key with another content
/// must be refused, and because a transaction must not be held open by a slow sender. What was
/// accepted and not yet begun when the process dies is known to its operation, which ends as
/// "interrupted".
///
/// Thread-safe. Metrics: sluice_registry_imports_pending, sluice_registry_imports_total{outcome}.
class ImportQueue {
 public:
  struct Options {
    std::string spool_dir;
    std::size_t workers = 2;
    /// Being uploaded, waiting or at work. One tenant may have half of them, rounded up, so that
    /// nobody's uploads keep everybody else from importing.
    std::size_t max_pending = 8;
    std::size_t max_line_bytes = ImportConfig().max_line_bytes;
    /// How often the operations of waiting and working imports are said to be alive.
    std::chrono::milliseconds heartbeat = kOperationSilence / 3;
  };

  /// `importer`, `vault` and `registry` must outlive it.
  ImportQueue(Options options, Importer& importer, const Vault& vault, Logger log,
              Registry& registry);
  ~ImportQueue();  // stops
  ImportQueue(const ImportQueue&) = delete;
  ImportQueue& operator=(const ImportQueue&) = delete;

  /// Reads the upload and begins its operation, or finds the one that its key began before.
  /// kResourceExhausted before anything is read, with reason "too_many_imports", or with reason
  /// "too_many_imports_of_tenant" where only this tenant has as many as one may; besides, what
  /// reading the body and Importer::begin() fail with. `request.request_hash` is filled in here.
  Result<Operation> take(const Caller& caller, ImportRequest request, http::BodyReader& body);

  /// Ends what is at work and what waits, each operation with the reason "shutting_down". Returns
  /// when no import runs. Any number of times.
  void stop();

 private:
  class Spool;
  class Slot;
  struct Job;

  void work();
  void forget(const std::string& operation_id);
  void beat(const std::stop_token& stop);

  const Options options_;
  Importer& importer_;
  const Vault& vault_;
  const Logger log_;
  Registry& registry_;
  Gauge pending_gauge_;
  std::mutex pending_mutex_;                 // guards pending_
  std::map<TenantId, std::size_t> pending_;  // slots taken, by tenant; none that is 0
  std::atomic<bool> is_stopping_{false};
  BoundedQueue<std::unique_ptr<Job>> jobs_;
  std::mutex alive_mutex_;               // guards alive_
  std::map<std::string, Caller> alive_;  // by operation: taken and not yet ended
  std::condition_variable_any beat_;     // never notified: only waits and stops
  std::vector<std::jthread> workers_;
  std::jthread heart_;
};

}  // namespace sluice::registry
