#include "core/fair_order.h"

#include <algorithm>
#include <limits>

#include <sluice/base/planted_bug.h>

namespace sluice::validator {
namespace {

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

}  // namespace

std::span<const std::uint32_t> FairOrder::of(std::span<const Item> items) {
  order_.clear();
  group(items);
  if (queues_.size() == 1 || SLUICE_PLANTED_BUG("validator_takes_no_turns")) {
    for (std::uint32_t i = 0; i < items.size(); ++i) order_.push_back(i);
    return order_;
  }
  while (!queues_.empty()) {
    for (Queue& queue : queues_) {
      queue.deficit += quantum_;
      while (queue.first != kNone && items[queue.first].bytes <= queue.deficit) {
        queue.deficit -= items[queue.first].bytes;
        order_.push_back(queue.first);
        queue.first = next_[queue.first];
      }
    }
    std::erase_if(queues_, [](const Queue& queue) { return queue.first == kNone; });
  }
  if (SLUICE_PLANTED_BUG("validator_forgets_order")) std::ranges::reverse(order_);
  return order_;
}

void FairOrder::group(std::span<const Item> items) {
  queues_.clear();
  next_.assign(items.size(), kNone);
  for (std::uint32_t i = 0; i < items.size(); ++i) {
    Queue& queue = queue_of(items[i].tenant);
    if (queue.first == kNone) {
      queue.first = i;
    } else {
      next_[queue.last] = i;
    }
    queue.last = i;
  }
}

/// A batch has few tenants, and neighbours are often of one: a search from the latest is enough.
FairOrder::Queue& FairOrder::queue_of(std::string_view tenant) {
  const auto found = std::ranges::find(queues_.rbegin(), queues_.rend(), tenant, &Queue::tenant);
  if (found != queues_.rend()) return *found;
  queues_.push_back({.tenant = tenant, .first = kNone, .last = kNone});
  return queues_.back();
}

}  // namespace sluice::validator
