#include "core/batch/batch_rows.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

namespace sluice::tsdb {
namespace {

WallTime time_of(std::int64_t milliseconds) {
  return WallTime(std::chrono::milliseconds(milliseconds));
}

}  // namespace

BatchRows::BatchRows(const Batch& batch) : batch_(batch), order_(batch.groups().size()) {
  std::iota(order_.begin(), order_.end(), GroupIndex{0});
  std::ranges::sort(order_, {}, [&](GroupIndex group) {
    const Batch::Group& of = batch_.groups()[group];
    return std::tuple(of.device, of.event_hour, of.span);
  });
}

void BatchRows::restart(const std::vector<bool>& left_out) {
  left_out_ = left_out;
  next_ = 0;
  chunk_bytes_ = 0;
}

Result<bool> BatchRows::next(HotRow& row) {
  while (next_ < order_.size()) {
    const GroupIndex index = order_[next_++];
    const Batch::Group& group = batch_.groups()[index];
    if (left_out_[group.span]) continue;
    chunk_.clear();
    SLUICE_TRY_ASSIGN(const auto encoded, encoder_.encode(batch_, index, {}, chunk_));
    if (!encoded) continue;
    chunk_bytes_ += static_cast<std::int64_t>(chunk_.size());
    row = {.device = group.device,
           .event_hour = group.event_hour,
           .first = time_of(encoded->first_ms),
           .last = time_of(encoded->last_ms),
           .times = encoded->times,
           .chunk = chunk_};
    return true;
  }
  return false;
}

}  // namespace sluice::tsdb
