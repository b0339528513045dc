#pragma once

#include <cstddef>

namespace sluice::metrics_detail {

/// Slots that one thread each owns. A service has a few threads per core besides those of
/// librdkafka and gRPC, which rarely count; a cell line of 64 bytes per slot and series stays cheap
/// at 32.
inline constexpr std::size_t kOwnedSlots = 32;
/// The slot of all threads beyond: its cells are shared and take atomic addition.
inline constexpr std::size_t kSharedSlot = kOwnedSlots;
inline constexpr std::size_t kSlotCount = kOwnedSlots + 1;

/// The calling thread's slot. An owned one is given back when the thread ends, and the next owner
/// sees all that was written to its cells.
std::size_t thread_slot();

}  // namespace sluice::metrics_detail
