#pragma once

#include "core/catalog.h"

#include <atomic>
#include <cstddef>
#include <functional>

#include <sluice/metrics/metrics.h>

namespace sluice::registry {

/// Lists and searches, of which only so many are let in at once: they are the requests that a
/// caller can make slow, and each holds a thread of the HTTP server. One more is refused at once
/// (kResourceExhausted, reason "too_many_searches"; sluice_registry_searches_refused_total).
/// Thread-safe.
class Searches {
 public:
  using List = std::function<Result<Page>(const Caller&, ResourceKind, const ListRequest&)>;

  /// `list` does the work.
  Searches(List list, std::size_t max_at_once, Registry& registry);

  Result<Page> list(const Caller& caller, ResourceKind kind, const ListRequest& request);

 private:
  const List list_;
  const std::size_t max_at_once_;
  std::atomic<std::size_t> at_once_{0};
  Counter refused_;
};

}  // namespace sluice::registry
