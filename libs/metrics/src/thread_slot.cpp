#include "thread_slot.h"

#include <atomic>
#include <bit>
#include <cstdint>

namespace sluice::metrics_detail {
namespace {

static_assert(kOwnedSlots == 32, "slots_in_use has one bit per owned slot");

// The one mutable global of the code: slots belong to threads, and threads belong to the process,
// so that a counter in any registry finds its cell without a lookup. It holds no state of any
// service.
constinit std::atomic<std::uint32_t> slots_in_use{0};

constexpr std::size_t kUnassigned = kSlotCount;
constinit thread_local std::size_t current_slot = kUnassigned;

std::size_t take_slot() {
  std::uint32_t used = slots_in_use.load(std::memory_order_relaxed);
  while (used != UINT32_MAX) {
    const auto free_slot = static_cast<std::size_t>(std::countr_one(used));
    // Acquire meets the release below: the last owner's writes are seen by this one.
    if (slots_in_use.compare_exchange_weak(used, used | (1U << free_slot),
                                           std::memory_order_acquire, std::memory_order_relaxed)) {
      return free_slot;
    }
  }
  return kSharedSlot;
}

/// Gives the slot back at the thread's end. What still counts after that, in the destructor of some
/// other thread_local, goes to the shared slot.
struct SlotReturner {
  ~SlotReturner() {
    const std::size_t slot = current_slot;
    current_slot = kSharedSlot;
    if (slot < kOwnedSlots) slots_in_use.fetch_and(~(1U << slot), std::memory_order_release);
  }
};

std::size_t assign_slot() {
  thread_local const SlotReturner returner;
  current_slot = take_slot();
  return current_slot;
}

}  // namespace

std::size_t thread_slot() {
  if (current_slot != kUnassigned) [[likely]]
    return current_slot;
  return assign_slot();
}

}  // namespace sluice::metrics_detail
