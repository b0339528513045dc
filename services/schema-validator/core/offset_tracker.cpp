#include "core/offset_tracker.h"

#include <sluice/base/check.h>

namespace sluice::validator {

void OffsetTracker::expect(std::int64_t offset) {
  if (entries_.empty() && offset > durable_) durable_ = offset;  // nothing lies between
  const std::int64_t end = durable_ + static_cast<std::int64_t>(entries_.size());
  if (offset < end) return;  // comes again after an error
  // What lies between has no record: records of a partition come in order.
  entries_.insert(entries_.end(), static_cast<std::size_t>(offset - end), std::uint16_t{0});
  entries_.push_back(kExpected);
  advance();
}

bool OffsetTracker::is_handled(std::int64_t offset) const {
  if (durable_ < 0) return false;
  if (offset < durable_) return true;
  const auto index = static_cast<std::size_t>(offset - durable_);
  return index < entries_.size() && entries_[index] != kExpected;
}

void OffsetTracker::handled(std::int64_t offset, std::size_t outputs) {
  SLUICE_CHECK(outputs <= kMaxOutputs);
  expect(offset);
  if (offset < durable_) return;
  entries_[static_cast<std::size_t>(offset - durable_)] = static_cast<std::uint16_t>(outputs);
  advance();
}

void OffsetTracker::acknowledged(std::int64_t offset) {
  const auto index = static_cast<std::size_t>(offset - durable_);
  SLUICE_CHECK(offset >= durable_ && index < entries_.size());
  SLUICE_CHECK(entries_[index] != kExpected && entries_[index] > 0);
  --entries_[index];
  advance();
}

void OffsetTracker::advance() {
  while (!entries_.empty() && entries_.front() == 0) {
    entries_.pop_front();
    ++durable_;
  }
}

}  // namespace sluice::validator
