#include "core/batch/batch.h"

#include <algorithm>
#include <utility>

#include <sluice/base/check.h>

namespace sluice::tsdb {
namespace {

// A text is its place and its size: 64 KiB is the most that a chunk takes
// (ChunkLimits::text_bytes).
constexpr unsigned kSizeBits = 24;
constexpr std::uint64_t kSizeMask = (std::uint64_t{1} << kSizeBits) - 1;

}  // namespace

std::size_t Batch::GroupNameHash::operator()(const GroupName& name) const noexcept {
  // Device keys and hours are dense small numbers: one multiplication spreads them well enough.
  const auto mixed = static_cast<std::uint64_t>(name.device) * 0x9e3779b97f4a7c15U +
                     static_cast<std::uint64_t>(name.hour) + name.span;
  return mixed ^ (mixed >> 32U);
}

std::optional<SpanIndex> Batch::find_span(std::string_view topic, std::int32_t partition) const {
  for (SpanIndex i = 0; i < taken_.size(); ++i) {
    const TopicPartition& known = taken_[i].span.partition;
    if (known.partition == partition && known.topic == topic) return i;
  }
  return std::nullopt;
}

SpanIndex Batch::add_span(PartitionSpan span, MonoTime now) {
  if (taken_.empty()) begun_at_ = now;
  taken_.push_back({.span = std::move(span)});
  return static_cast<SpanIndex>(taken_.size() - 1);
}

void Batch::pass(SpanIndex span, Offset next, WallTime received_at) {
  Taken& taken = taken_[span];
  taken.span.next = next;
  taken.oldest_received_at = std::min(taken.oldest_received_at, received_at);
  ++taken.records;
}

WallTime Batch::oldest_received_at() const {
  WallTime oldest = WallTime::max();
  for (const Taken& taken : taken_) oldest = std::min(oldest, taken.oldest_received_at);
  return oldest;
}

GroupIndex Batch::group_of(DeviceKey device, WallTime event_hour, SpanIndex span) {
  const GroupName name{device.value(), event_hour.time_since_epoch().count(), span};
  const auto [place, is_new] =
      group_index_.try_emplace(name, static_cast<GroupIndex>(groups_.size()));
  if (is_new) groups_.push_back({device, event_hour, span, kNone, kNone});
  return place->second;
}

void Batch::end_run(GroupIndex group, std::int64_t time_ms, Remarks remarks) {
  const auto run = static_cast<std::uint32_t>(runs_.size());
  runs_.push_back({.time_ms = time_ms,
                   .first_sample = static_cast<std::uint32_t>(samples_in_runs_),
                   .sample_count = static_cast<std::uint32_t>(samples_.size() - samples_in_runs_),
                   .next = kNone,
                   .remarks = remarks});
  samples_in_runs_ = samples_.size();
  Group& chain = groups_[group];
  (chain.first_run == kNone ? chain.first_run : runs_[chain.last_run].next) = run;
  chain.last_run = run;
}

std::uint64_t Batch::keep(std::string_view text) {
  SLUICE_CHECK(text.size() <= kSizeMask);
  const std::uint64_t bits = (texts_.size() << kSizeBits) | text.size();
  texts_ += text;
  return bits;
}

std::string_view Batch::text_of(std::uint64_t bits) const {
  return std::string_view(texts_).substr(bits >> kSizeBits, bits & kSizeMask);
}

std::vector<GroupIndex> Batch::groups_of(DeviceKey device) const {
  std::vector<GroupIndex> found;
  for (GroupIndex i = 0; i < groups_.size(); ++i) {
    if (groups_[i].device == device) found.push_back(i);
  }
  return found;
}

Batch Batch::copy_of(DeviceKey device, series::TimeRange range) const {
  Batch copy(serial_);
  for (const GroupIndex index : groups_of(device)) {
    const Group& group = groups_[index];
    const GroupIndex to = copy.group_of(group.device, group.event_hour, group.span);
    for (std::uint32_t at = group.first_run; at != kNone; at = runs_[at].next) {
      const Run& run = runs_[at];
      if (run.time_ms < range.from || run.time_ms >= range.to) continue;
      for (BatchSample sample : samples_of(run)) {
        if (sample.type == series::ColumnType::kString ||
            sample.type == series::ColumnType::kBytes) {
          sample.bits = copy.keep(text_of(sample.bits));
        }
        copy.add(sample);
      }
      copy.end_run(to, run.time_ms, run.remarks);
    }
  }
  return copy;
}

}  // namespace sluice::tsdb
