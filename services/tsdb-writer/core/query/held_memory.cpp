#include "core/query/held_memory.h"

#include <format>

namespace sluice::tsdb {

bool QueryMemory::take(std::size_t bytes) {
  // Added first and looked at then: of two that take the last room at once both may be refused,
  // never both let in.
  const std::size_t before = taken_.fetch_add(bytes, std::memory_order_relaxed);
  if (before <= limit_ && bytes <= limit_ - before) return true;
  give_back(bytes);
  return false;
}

HeldMemory::~HeldMemory() {
  if (limits_.all != nullptr) limits_.all->give_back(held_);
}

Result<> HeldMemory::hold(std::size_t bytes) {
  if (bytes > limits_.max_bytes - held_) {
    return fail(Error(ErrorCode::kInvalidArgument,
                      std::format("the query holds more than {} bytes in memory "
                                  "(query_max_memory): ask for less, or in wider steps",
                                  limits_.max_bytes))
                    .with_reason("query_max_memory"));
  }
  if (limits_.all != nullptr && !limits_.all->take(bytes)) {
    return fail(Error(ErrorCode::kResourceExhausted,
                      "the queries of this moment hold too much memory (query_memory)")
                    .with_reason("query_memory"));
  }
  held_ += bytes;
  return {};
}

}  // namespace sluice::tsdb
