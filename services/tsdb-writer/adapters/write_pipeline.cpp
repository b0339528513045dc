#include "adapters/write_pipeline.h"

#include "core/batch/batch_rows.h"
#include "core/batch/group_encoder.h"

#include <algorithm>
#include <utility>

namespace sluice::tsdb {
namespace {

// One being written, one waiting, so that the writer never waits for the reader.
constexpr std::size_t kMaxWaiting = 2;
// Well below what the group waits for (max_poll_interval, 5 min), and longer than any healthy
// flush.
constexpr std::chrono::seconds kHandOverTimeout{10};

TopicPartition named(const kafka::TopicPartition& partition) {
  return {partition.topic, partition.partition.value()};
}

}  // namespace

WritePipeline::WritePipeline(Options options, const Clock& clock, Random& random, const Logger& log,
                             Registry& registry, DictionaryStore& dictionary, HotStore& store)
    : options_(std::move(options)),
      clock_(clock),
      log_(log),
      metrics_(registry),
      store_(store),
      intake_(options_.limits, dictionary, registry),
      backoff_(options_.retry, random),
      filling_(fresh_batch()) {
  registry.gauge_function("sluice_tsdb_writer_lag_seconds",
                          "Time since ingest of the oldest message that is in memory and not "
                          "committed; 0 when there is none.",
                          {}, [this] { return lag_seconds(); });
  registry.gauge_function("sluice_tsdb_writer_held_samples",
                          "Samples in memory that are not committed.", {},
                          [this] { return held_samples(); });
  thread_ = std::jthread([this](const std::stop_token& stop) { write_batches(stop); });
}

WritePipeline::~WritePipeline() { stop(); }

void WritePipeline::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

double WritePipeline::lag_seconds() const {
  const std::lock_guard lock(mutex_);
  WallTime oldest = filling_->oldest_received_at();
  for (const SharedBatch& batch : waiting_) oldest = std::min(oldest, batch->oldest_received_at());
  if (oldest == WallTime::max()) return 0;
  return std::max(0.0, std::chrono::duration<double>(clock_.wall() - oldest).count());
}

double WritePipeline::held_samples() const {
  const std::lock_guard lock(mutex_);
  std::size_t samples = filling_->sample_count();
  for (const SharedBatch& batch : waiting_) samples += batch->sample_count();
  return static_cast<double>(samples);
}

WritePipeline::SharedBatch WritePipeline::fresh_batch() {
  return std::make_shared<Batch>(next_serial_++);
}

Result<> WritePipeline::on_batch(std::span<const kafka::RecordView> records,
                                 kafka::ConsumerControl& control) {
  collect_committed(control);
  // In slices that end where a partition's log was made anew: what is of the old log and what is of
  // the new one are different spans, hence different batches.
  std::size_t first = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (!begins_anew(records[i])) continue;
    SLUICE_TRY(take(records.subspan(first, i - first)));
    first = i;
    hand_over(WriterMetrics::kHandOver);
    partitions_[{std::string(records[i].topic), records[i].partition.value()}] = {
        .next = std::nullopt, .is_new_log = true};
  }
  SLUICE_TRY(take(records.subspan(first)));
  if (hand_over_if_due() || !options_.policy.is_full(*filling_)) return {};
  metrics_.pauses.add();
  for (const kafka::RecordView& record : records) {
    if (paused_.emplace(std::string(record.topic), record.partition.value()).second) {
      control.pause(record.topic, record.partition);
    }
  }
  return {};
}

/// A log that was deleted and made again counts from 0; nothing else ever goes back.
bool WritePipeline::begins_anew(const kafka::RecordView& record) {
  if (record.offset.value() != 0) return false;
  const auto known = partitions_.find({std::string(record.topic), record.partition.value()});
  return known != partitions_.end() && known->second.next && known->second.next->value() > 0;
}

Result<> WritePipeline::take(std::span<const kafka::RecordView> records) {
  if (records.empty()) return {};
  records_.clear();
  {
    const std::lock_guard lock(mutex_);
    for (const kafka::RecordView& record : records) {
      records_.push_back({.bytes = record.value.value_or(std::string_view{}),
                          .span = span_of(record),
                          .offset = Offset(record.offset.value())});
    }
  }
  SLUICE_TRY(intake_.prepare(records_, clock_.wall()));
  for (const kafka::RecordView& record : records) {
    Partition& partition = partitions_[{std::string(record.topic), record.partition.value()}];
    partition.next = Offset(record.offset.value() + 1);
    partition.is_new_log = false;
  }
  const std::lock_guard lock(mutex_);
  intake_.commit(*filling_);
  return {};
}

/// The record's partition in the batch being filled. Records come in runs of one partition.
SpanIndex WritePipeline::span_of(const kafka::RecordView& record) {
  if (const auto found = filling_->find_span(record.topic, record.partition.value())) return *found;
  TopicPartition name{std::string(record.topic), record.partition.value()};
  const Partition& partition = partitions_[name];
  const Offset begin = partition.next.value_or(Offset(record.offset.value()));
  return filling_->add_span({.partition = std::move(name),
                             .begin = partition.next,
                             .next = begin,
                             .is_new_log = partition.is_new_log},
                            clock_.mono());
}

bool WritePipeline::hand_over_if_due() {
  const auto reason = options_.policy.is_due(*filling_, clock_.mono());
  if (!reason) return false;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kMaxWaiting) return false;
  }
  hand_over(static_cast<std::size_t>(*reason));
  return true;
}

void WritePipeline::hand_over(std::size_t reason) {
  const std::lock_guard lock(mutex_);
  if (filling_->is_empty()) return;
  metrics_.flushes[reason].add();
  waiting_.push_back(std::exchange(filling_, fresh_batch()));
  changed_.notify_all();
}

Result<> WritePipeline::on_tick(kafka::ConsumerControl& control) {
  collect_committed(control);
  hand_over_if_due();
  if (!paused_.empty() && !options_.policy.is_full(*filling_)) {
    for (const TopicPartition& each : std::exchange(paused_, {})) {
      control.resume(each.topic, kafka::Partition(each.partition));
    }
  }
  return {};
}

void WritePipeline::collect_committed(kafka::ConsumerControl& control) {
  std::vector<PartitionSpan> committed;
  {
    const std::lock_guard lock(mutex_);
    committed.swap(committed_);
  }
  for (const PartitionSpan& span : committed) {
    control.mark_durable(span.partition.topic, kafka::Partition(span.partition.partition),
                         kafka::Offset(span.next.value()));
  }
}

Result<std::vector<kafka::StartPosition>> WritePipeline::on_assigned(
    std::span<const kafka::TopicPartition> partitions) {
  std::vector<TopicPartition> asked;
  for (const kafka::TopicPartition& each : partitions) asked.push_back(named(each));
  SLUICE_TRY_ASSIGN(const auto positions, store_.positions(asked));
  std::vector<kafka::StartPosition> starts;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    partitions_[asked[i]] = {.next = positions[i]};
    // Not where the group has committed: these tables have nothing yet, whatever others had.
    const Offset start = positions[i].value_or(Offset(0));
    starts.push_back({.partition = partitions[i], .offset = kafka::Offset(start.value())});
  }
  return starts;
}

void WritePipeline::on_revoking(std::span<const kafka::TopicPartition> partitions,
                                kafka::ConsumerControl& control) {
  hand_over(WriterMetrics::kHandOver);
  {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kHandOverTimeout, [&] { return waiting_.empty(); })) {
      log_.warning("hand_over_incomplete", {{"batches", waiting_.size()}});
    }
  }
  collect_committed(control);
  on_lost(partitions);
}

/// Their samples in memory may still be written: the store takes no record twice.
void WritePipeline::on_lost(std::span<const kafka::TopicPartition> partitions) {
  for (const kafka::TopicPartition& each : partitions) {
    paused_.erase(named(each));
  }
}

void WritePipeline::write_batches(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    SharedBatch batch;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [&] { return !waiting_.empty(); })) return;
      batch = waiting_.front();
    }
    if (!write(*batch, stop)) return;
    const std::lock_guard lock(mutex_);
    waiting_.pop_front();
    for (const Batch::Taken& taken : batch->taken()) committed_.push_back(taken.span);
    changed_.notify_all();
  }
}

/// Until it is written; false when told to end before.
bool WritePipeline::write(const Batch& batch, const std::stop_token& stop) {
  std::vector<PartitionSpan> spans;
  for (const Batch::Taken& taken : batch.taken()) spans.push_back(taken.span);
  BatchRows rows(batch);
  for (;;) {
    const MonoTime began = clock_.mono();
    const auto report = store_.flush(spans, rows);
    if (report) {
      if (std::exchange(is_failing_, false)) log_.info("flush_recovered");
      backoff_.reset();
      metrics_.already_stored.add(report->partitions_left_out);
      metrics_.note_committed(batch, report->rows, rows.chunk_bytes(), clock_.mono() - began);
      return true;
    }
    note_failure(report.error());
    if (report.error().reason() == "offsets_went_back") {
      options_.on_fatal(report.error());
      return false;
    }
    if (options_.on_failure) options_.on_failure();
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, stop, backoff_.next(), [] { return false; }) ||
        stop.stop_requested()) {
      return false;
    }
  }
}

void WritePipeline::note_failure(const Error& error) {
  metrics_.failures.add();
  if (!std::exchange(is_failing_, true)) log_.warning("flush_failed", error);
}

std::vector<std::vector<std::byte>> WritePipeline::of_device(DeviceKey device,
                                                             series::TimeRange range) const {
  std::vector<std::vector<std::byte>> chunks;
  GroupEncoder encoder;
  const auto append = [&](const Batch& batch) {
    for (const GroupIndex group : batch.groups_of(device)) {
      std::vector<std::byte> chunk;
      const auto encoded = encoder.encode(batch, group, range, chunk);
      if (encoded && *encoded) chunks.push_back(std::move(chunk));
    }
  };
  std::vector<SharedBatch> written;
  std::unique_lock lock(mutex_);
  written.assign(waiting_.begin(), waiting_.end());
  std::vector<std::vector<std::byte>> newest;
  append(*filling_);  // under the lock, since it is being filled
  newest.swap(chunks);
  lock.unlock();
  for (const SharedBatch& batch : written) append(*batch);
  std::ranges::move(newest, std::back_inserter(chunks));
  return chunks;
}

}  // namespace sluice::tsdb
