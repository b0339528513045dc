#pragma once

#include "core/batch/message.h"
#include "core/storage_layout.h"
#include "ports.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/series/chunk.h>
#include <sluice/series/chunk_reader.h>

namespace sluice::tsdb {

/// A value as a batch keeps it, 16 bytes. Texts are in the batch.
struct BatchSample {
  std::uint64_t bits = 0;
  MetricKey metric;
  series::ColumnType type = series::ColumnType::kDouble;
  Remarks remarks = 0;
};

/// Index of a Group and of a partition's span in one batch.
using GroupIndex = std::uint32_t;
using SpanIndex = std::uint32_t;

/// What is gathered until the next flush, grouped by device and event hour, in the order it came.
/// Filled by one thread; once it is filled no more, any thread may read.
///
/// Kept flat, since it is refilled half a million samples at a time: a message is a Run, its
/// samples lie beside each other, and a group is a chain of runs.
class Batch {
 public:
  explicit Batch(std::uint64_t serial) : serial_(serial) {}

  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Run {
    std::int64_t time_ms;
    std::uint32_t first_sample;
    std::uint32_t sample_count;
    std::uint32_t next;  // run of the same group, or kNone
    Remarks remarks;
  };
  struct Group {
    DeviceKey device;
    WallTime event_hour;
    SpanIndex span;
    std::uint32_t first_run;
    std::uint32_t last_run;
  };
  /// What was taken from one partition, and when the oldest of it had come in.
  struct Taken {
    PartitionSpan span;
    std::int64_t records = 0;
    WallTime oldest_received_at = WallTime::max();
  };

  /// Never the same for two batches of a process.
  std::uint64_t serial() const { return serial_; }
  bool is_empty() const { return taken_.empty(); }
  std::size_t sample_count() const { return samples_.size(); }
  std::size_t bytes() const {
    return samples_.size() * sizeof(BatchSample) + runs_.size() * sizeof(Run) +
           groups_.size() * sizeof(Group) + texts_.size();
  }
  /// When the first record came in here.
  MonoTime begun_at() const { return begun_at_; }
  /// When the oldest of its messages had come in; the end of time when it is empty.
  WallTime oldest_received_at() const;

  std::optional<SpanIndex> find_span(std::string_view topic, std::int32_t partition) const;
  SpanIndex add_span(PartitionSpan span, MonoTime now);
  /// Takes note of a record of that partition.
  void pass(SpanIndex span, Offset next, WallTime received_at);

  GroupIndex group_of(DeviceKey device, WallTime event_hour, SpanIndex span);
  /// The samples added since the last run become one of `group`.
  void add(const BatchSample& sample) { samples_.push_back(sample); }
  void end_run(GroupIndex group, std::int64_t time_ms, Remarks remarks);
  /// Keeps a text and gives what to put into BatchSample::bits.
  std::uint64_t keep(std::string_view text);

  std::string_view text_of(std::uint64_t bits) const;
  std::span<const Run> runs() const { return runs_; }
  std::span<const BatchSample> samples_of(const Run& run) const {
    return std::span(samples_).subspan(run.first_sample, run.sample_count);
  }
  std::span<const Group> groups() const { return groups_; }
  std::span<const Taken> taken() const { return taken_; }
  /// Of every event hour.
  std::vector<GroupIndex> groups_of(DeviceKey device) const;
  /// A batch of its own of one device's samples within a range, to be read while this one is being
  /// filled. Of no span.
  Batch copy_of(DeviceKey device, series::TimeRange range) const;

 private:
  struct GroupName {
    std::int64_t device;
    std::int64_t hour;
    SpanIndex span;
    bool operator==(const GroupName&) const = default;
  };
  struct GroupNameHash {
    std::size_t operator()(const GroupName& name) const noexcept;
  };

  std::uint64_t serial_;
  MonoTime begun_at_{};
  std::vector<Taken> taken_;
  std::vector<Group> groups_;
  std::unordered_map<GroupName, GroupIndex, GroupNameHash> group_index_;
  std::vector<Run> runs_;
  std::vector<BatchSample> samples_;
  std::size_t samples_in_runs_ = 0;
  std::string texts_;
};

}  // namespace sluice::tsdb
