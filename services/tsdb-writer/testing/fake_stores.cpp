#include "testing/fake_stores.h"

#include "core/batch/fence.h"
#include "testing/stored_content.h"

#include <algorithm>

namespace sluice::tsdb::testing {

Result<DictionaryStore::Keys> FakeDictionary::resolve(std::span<const DeviceIdentity> devices,
                                                      std::span<const MetricIdentity> metrics) {
  ++calls;
  if (failure) return fail(*failure);
  Keys keys;
  for (const DeviceIdentity& each : devices) {
    const std::pair name{std::string(each.tenant), std::string(each.device)};
    const auto place =
        devices_.try_emplace(name, static_cast<std::int64_t>(devices_.size()) + 1).first;
    device_names_[place->second] = name;
    fleets[name.second] = each.fleet;
    keys.devices.emplace_back(place->second);
  }
  for (const MetricIdentity& each : metrics) {
    const std::tuple name{std::string(each.tenant), std::string(each.device_type),
                          std::string(each.name), static_cast<int>(each.type)};
    auto found = metrics_.find(name);
    std::size_t& count = per_class_[{std::get<0>(name), std::get<1>(name)}];
    if (found == metrics_.end() && count < max_metrics_per_class) {
      ++count;
      found = metrics_.emplace(name, static_cast<std::int32_t>(metrics_.size()) + 1).first;
      metric_names_[found->second] = each.name;
    }
    if (found == metrics_.end()) {
      keys.metrics.emplace_back(std::nullopt);
    } else {
      units[std::string(each.name)] = each.unit;
      keys.metrics.emplace_back(MetricKey(found->second));
    }
  }
  return keys;
}

Result<std::vector<std::optional<Offset>>> FakeHotStore::positions(
    std::span<const TopicPartition> partitions) {
  const std::lock_guard lock(mutex_);
  std::vector<std::optional<Offset>> positions;
  for (const TopicPartition& each : partitions) {
    const auto found = positions_.find(each);
    positions.push_back(found == positions_.end() ? std::nullopt
                                                  : std::optional(Offset(found->second)));
  }
  return positions;
}

Result<FlushReport> FakeHotStore::flush(std::span<const PartitionSpan> spans, HotRowSource& rows) {
  const std::lock_guard lock(mutex_);
  ++attempts_;
  if (failure_ && !commits_before_failing_) return fail(*failure_);
  FlushReport report;
  std::vector<std::optional<Offset>> stored;
  for (const PartitionSpan& span : spans) {
    const auto found = positions_.find(span.partition);
    stored.push_back(found == positions_.end() ? std::nullopt
                                               : std::optional(Offset(found->second)));
  }
  SLUICE_TRY_ASSIGN(const std::vector<bool> left_out, stored_already(spans, stored));
  report.partitions_left_out = static_cast<std::size_t>(std::ranges::count(left_out, true));
  rows.restart(left_out);
  HotRow row;
  for (;;) {
    SLUICE_TRY_ASSIGN(const bool has_row, rows.next(row));
    if (!has_row) break;
    rows_.push_back({row.device, {row.chunk.begin(), row.chunk.end()}});
    ++report.rows;
  }
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (!left_out[i]) positions_[spans[i].partition] = spans[i].next.value();
  }
  if (failure_) return fail(*failure_);
  return report;
}

void FakeHotStore::fail_with(std::optional<Error> failure, bool and_commit) {
  const std::lock_guard lock(mutex_);
  failure_ = std::move(failure);
  commits_before_failing_ = and_commit;
}

std::size_t FakeHotStore::attempts() const {
  const std::lock_guard lock(mutex_);
  return attempts_;
}

std::optional<Offset> FakeHotStore::position(const TopicPartition& partition) const {
  const std::lock_guard lock(mutex_);
  const auto found = positions_.find(partition);
  return found == positions_.end() ? std::nullopt : std::optional(Offset(found->second));
}

void FakeHotStore::set_position(const TopicPartition& partition, Offset offset) {
  const std::lock_guard lock(mutex_);
  positions_[partition] = offset.value();
}

Content FakeHotStore::content(const FakeDictionary& names) const {
  const std::lock_guard lock(mutex_);
  Content content;
  for (const Row& row : rows_) {
    const auto [tenant, device] = names.device_of(row.device);
    add_chunk(
        tenant, device, row.chunk, [&](MetricKey key) { return names.name_of(key); }, content);
  }
  return content;
}

}  // namespace sluice::tsdb::testing
