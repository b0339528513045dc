#include "worker_pool.h"

namespace sluice::rpc {

WorkerPool::WorkerPool(std::size_t threads, std::size_t queue) : queue_(queue) {
  threads_.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this] {
      while (auto task = queue_.pop()) (*task)();
    });
  }
}

void WorkerPool::stop() {
  queue_.close();
  threads_.clear();  // joins
}

}  // namespace sluice::rpc
