#include "core/batch/write_queue.h"

#include "core/batch/group_encoder.h"

#include <algorithm>
#include <string>
#include <utility>

namespace sluice::tsdb {
namespace {

// One being written, one waiting, so that the writer never waits for the reader.
constexpr std::size_t kMaxWaiting = 2;

}  // namespace

WriteQueue::WriteQueue(const FlushPolicy& policy, const IntakeLimits& limits,
                       DictionaryStore& dictionary, Registry& registry, WriterMetrics& metrics)
    : policy_(policy),
      metrics_(metrics),
      intake_(limits, dictionary, registry),
      filling_(fresh_batch()) {}

void WriteQueue::begin(const TopicPartition& partition, std::optional<Offset> next) {
  // Another owner may have stored records between those of the batch and those to come. Written as
  // one span, the batch's would be written once more after the other owner's and override them.
  if (filling_->find_span(partition.topic, partition.partition)) hand_over();
  partitions_[partition] = {.next = next};
}

bool WriteQueue::begins_anew(std::string_view topic, std::int32_t partition, Offset offset) const {
  if (offset.value() != 0) return false;
  const auto known = partitions_.find({std::string(topic), partition});
  return known != partitions_.end() && known->second.next && known->second.next->value() > 0;
}

void WriteQueue::begin_anew(const TopicPartition& partition) {
  hand_over();
  partitions_[partition] = {.next = std::nullopt, .is_new_log = true};
}

void WriteQueue::stage(std::string_view topic, std::int32_t partition, Offset offset,
                       std::string_view bytes, MonoTime now) {
  staged_.push_back(
      {.bytes = bytes, .span = span_of(topic, partition, offset, now), .offset = offset});
}

/// The record's partition in the batch being filled. Records come in runs of one partition.
SpanIndex WriteQueue::span_of(std::string_view topic, std::int32_t partition, Offset offset,
                              MonoTime now) {
  if (const auto found = filling_->find_span(topic, partition)) return *found;
  TopicPartition name{std::string(topic), partition};
  Partition& state = partitions_[name];
  by_span_.push_back(&state);
  const std::lock_guard lock(mutex_);
  return filling_->add_span({.partition = std::move(name),
                             .begin = state.next,
                             .next = state.next.value_or(offset),
                             .is_new_log = state.is_new_log},
                            now);
}

Result<> WriteQueue::take(WallTime now) {
  if (staged_.empty()) return {};
  const Result<> prepared = intake_.prepare(staged_, now);
  if (prepared) {
    for (const IntakeRecord& record : staged_) {
      *by_span_[record.span] = {.next = Offset(record.offset.value() + 1)};
    }
    const std::lock_guard lock(mutex_);
    intake_.commit(*filling_);
  }
  staged_.clear();
  return prepared;
}

bool WriteQueue::hand_over_if_due(MonoTime now) {
  const auto reason = policy_.is_due(*filling_, now);
  if (!reason || waiting_batches() >= kMaxWaiting) return false;
  return hand_over(static_cast<std::size_t>(*reason));
}

bool WriteQueue::hand_over() { return hand_over(WriterMetrics::kHandOver); }

bool WriteQueue::hand_over(std::size_t reason) {
  if (filling_->is_empty()) return false;
  metrics_.flushes[reason].add();
  by_span_.clear();
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::exchange(filling_, fresh_batch()));
  return true;
}

std::vector<PartitionSpan> WriteQueue::take_written() {
  const std::lock_guard lock(mutex_);
  return std::exchange(written_, {});
}

WriteQueue::SharedBatch WriteQueue::to_write() const {
  const std::lock_guard lock(mutex_);
  return waiting_.empty() ? nullptr : waiting_.front();
}

void WriteQueue::note_written() {
  const std::lock_guard lock(mutex_);
  for (const Batch::Taken& taken : waiting_.front()->taken()) written_.push_back(taken.span);
  waiting_.pop_front();
}

std::size_t WriteQueue::waiting_batches() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

std::size_t WriteQueue::held_samples() const {
  const std::lock_guard lock(mutex_);
  std::size_t samples = filling_->sample_count();
  for (const SharedBatch& batch : waiting_) samples += batch->sample_count();
  return samples;
}

WallTime WriteQueue::oldest_received_at() const {
  const std::lock_guard lock(mutex_);
  WallTime oldest = filling_->oldest_received_at();
  for (const SharedBatch& batch : waiting_) oldest = std::min(oldest, batch->oldest_received_at());
  return oldest;
}

std::vector<std::vector<std::byte>> WriteQueue::of_device(DeviceKey device,
                                                          series::TimeRange range) const {
  std::unique_lock lock(mutex_);
  const std::vector<SharedBatch> written(waiting_.begin(), waiting_.end());
  // Copied under the lock, since it is being filled, and encoded without: the consumer would wait
  // for as long as the device's samples of a whole batch take.
  const Batch newest = filling_->copy_of(device, range);
  lock.unlock();
  std::vector<std::vector<std::byte>> chunks;
  GroupEncoder encoder;
  const auto append = [&](const Batch& batch) {
    for (const GroupIndex group : batch.groups_of(device)) {
      std::vector<std::byte> chunk;
      const auto encoded = encoder.encode(batch, group, range, chunk);
      if (encoded && *encoded) chunks.push_back(std::move(chunk));
    }
  };
  for (const SharedBatch& batch : written) append(*batch);
  append(newest);
  return chunks;
}

}  // namespace sluice::tsdb
