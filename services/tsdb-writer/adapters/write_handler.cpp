#include "adapters/write_handler.h"

#include <optional>
#include <string>
#include <utility>

#include <sluice/base/planted_bug.h>

namespace sluice::tsdb {
namespace {

TopicPartition named(const kafka::TopicPartition& partition) {
  return {partition.topic, partition.partition.value()};
}

}  // namespace

Result<> WriteHandler::on_batch(std::span<const kafka::RecordView> records,
                                kafka::ConsumerControl& control) {
  mark_written(control);
  SLUICE_TRY(take(records));
  if (SLUICE_PLANTED_BUG("writer_commits_early")) {
    for (const kafka::RecordView& record : records) {
      control.mark_durable(record.topic, record.partition,
                           kafka::Offset(record.offset.value() + 1));
    }
  }
  if (hand_over_if_due() || !queue_.is_full()) return {};
  metrics_.pauses.add();
  for (const kafka::RecordView& record : records) {
    if (paused_.emplace(std::string(record.topic), record.partition.value()).second) {
      control.pause(record.topic, record.partition);
    }
  }
  return {};
}

Result<> WriteHandler::take(std::span<const kafka::RecordView> records) {
  const MonoTime now = clock_.mono();
  for (const kafka::RecordView& record : records) {
    const Offset offset(record.offset.value());
    if (queue_.begins_anew(record.topic, record.partition.value(), offset)) {
      SLUICE_TRY(queue_.take(clock_.wall()));
      queue_.begin_anew({std::string(record.topic), record.partition.value()});
      writer_.wake();
    }
    queue_.stage(record.topic, record.partition.value(), offset, record.value.value_or(""), now);
  }
  return queue_.take(clock_.wall());
}

bool WriteHandler::hand_over_if_due() {
  const bool is_handed_over = queue_.hand_over_if_due(clock_.mono());
  if (is_handed_over) writer_.wake();
  return is_handed_over;
}

Result<> WriteHandler::on_tick(kafka::ConsumerControl& control) {
  mark_written(control);
  hand_over_if_due();
  if (!paused_.empty() && !queue_.is_full()) {
    for (const TopicPartition& each : std::exchange(paused_, {})) {
      control.resume(each.topic, kafka::Partition(each.partition));
    }
  }
  return {};
}

void WriteHandler::mark_written(kafka::ConsumerControl& control) {
  for (const PartitionSpan& span : queue_.take_written()) {
    control.mark_durable(span.partition.topic, kafka::Partition(span.partition.partition),
                         kafka::Offset(span.next.value()));
  }
}

Result<std::vector<kafka::StartPosition>> WriteHandler::on_assigned(
    std::span<const kafka::TopicPartition> partitions) {
  std::vector<TopicPartition> asked;
  for (const kafka::TopicPartition& each : partitions) asked.push_back(named(each));
  SLUICE_TRY_ASSIGN(const auto positions, store_.positions(asked));
  std::vector<kafka::StartPosition> starts;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (SLUICE_PLANTED_BUG("writer_commits_early")) {
      queue_.begin(asked[i], std::nullopt);  // where the group has committed: nobody sees the gap
      continue;
    }
    queue_.begin(asked[i], positions[i]);
    // Not where the group has committed: these tables have nothing yet, whatever others had.
    const Offset start = positions[i].value_or(Offset(0));
    starts.push_back({.partition = partitions[i], .offset = kafka::Offset(start.value())});
  }
  writer_.wake();
  return starts;
}

void WriteHandler::on_revoking(std::span<const kafka::TopicPartition> partitions,
                               kafka::ConsumerControl& control) {
  if (queue_.hand_over()) writer_.wake();
  writer_.await();
  mark_written(control);
  on_lost(partitions);
}

/// Their samples in memory may still be written: the store takes no record twice.
void WriteHandler::on_lost(std::span<const kafka::TopicPartition> partitions) {
  for (const kafka::TopicPartition& each : partitions) paused_.erase(named(each));
}

}  // namespace sluice::tsdb
