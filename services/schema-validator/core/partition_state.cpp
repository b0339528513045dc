#include "core/partition_state.h"

#include <algorithm>
#include <limits>

#include <sluice/telemetry/v1/validator_state.pb.h>

namespace sluice::validator {

Result<> PartitionState::restore(std::string_view device_key, std::string_view value) {
  telemetry::v1::ValidatorState record;
  if (value.size() > std::numeric_limits<int>::max() ||
      !record.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return fail(ErrorCode::kDataLoss, "no ValidatorState");
  }
  Place& place = restored_[std::string(device_key)];
  if (record.source_offset() < place.offset) return {};
  SLUICE_TRY(devices_.restore(device_key, record.state(), record.source_timestamp_ms()));
  place = {.offset = record.source_offset(), .timestamp_ms = record.source_timestamp_ms()};
  restored_through_ = std::max(restored_through_, place.offset);
  return {};
}

bool PartitionState::was_judged(std::string_view device_key, std::int64_t offset,
                                std::int64_t timestamp_ms) {
  if (restored_.empty()) return false;
  if (offset > restored_through_) {
    restored_.clear();  // messages come in order: nobody asks about these any more
    return false;
  }
  const auto found = restored_.find(device_key);
  return found != restored_.end() && offset <= found->second.offset &&
         timestamp_ms <= found->second.timestamp_ms;
}

void PartitionState::note(std::int64_t offset, std::int64_t timestamp_ms) {
  offset_ = std::max(offset_, offset);
  timestamp_ms_ = std::max(timestamp_ms_, timestamp_ms);
}

std::size_t PartitionState::forget_silent(std::size_t max,
                                          const std::function<void(std::string_view key)>& to) {
  return devices_.forget_silent(timestamp_ms_ - silence_ms_, max, to);
}

std::size_t PartitionState::drain_dirty(
    std::size_t max,
    const std::function<void(std::string_view key, const std::string& value)>& to) {
  telemetry::v1::ValidatorState record;
  record.set_source_offset(offset_);
  record.set_source_timestamp_ms(timestamp_ms_);
  std::string value;
  return devices_.drain_dirty(max, [&](std::string_view key, std::string_view bytes) {
    record.set_state(bytes.data(), bytes.size());
    record.SerializeToString(&value);
    to(key, value);
  });
}

}  // namespace sluice::validator
