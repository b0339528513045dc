#pragma once

#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

#include <sluice/base/bounded_queue.h>

namespace sluice::rpc {

/// A fixed number of threads and a bounded queue before them. Thread-safe.
class WorkerPool {
 public:
  using Task = std::move_only_function<void()>;

  WorkerPool(std::size_t threads, std::size_t queue);
  ~WorkerPool() { stop(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// False when the queue is full or the pool has stopped; the task is then untouched.
  bool try_submit(Task&& task) { return queue_.try_push(std::move(task)); }
  std::size_t queued() const { return queue_.size(); }

  /// Runs what is queued, then ends the threads. Its owner's thread alone.
  void stop();

 private:
  BoundedQueue<Task> queue_;
  std::vector<std::jthread> threads_;
};

}  // namespace sluice::rpc
