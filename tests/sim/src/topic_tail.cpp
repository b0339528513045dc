#include "topic_tail.h"

#include <algorithm>
#include <format>
#include <utility>
#include <vector>

#include <sluice/kafka/consumer.h>

namespace sluice::sim {

namespace {

/// Of a broker that answers at all; a longer silence ends the run.
constexpr std::chrono::seconds kAnswerTimeout(15);
/// Of one read: a run's whole topic at some 100,000 records a second.
constexpr std::chrono::minutes kReadTimeout(2);

/// Takes every partition and reads none.
class NoReading final : public kafka::RebalanceListener {
 public:
  std::vector<kafka::StartPosition> on_assigned(
      std::span<const kafka::TopicPartition> partitions) override {
    assigned.insert(assigned.end(), partitions.begin(), partitions.end());
    std::vector<kafka::StartPosition> all;
    for (const kafka::TopicPartition& partition : partitions) all.push_back({partition});
    return all;
  }
  void on_revoked(std::span<const kafka::TopicPartition>) override {}
  void on_lost(std::span<const kafka::TopicPartition>) override {}

  std::vector<kafka::TopicPartition> assigned;
};

Result<std::map<kafka::Partition, kafka::Offset>> find_ends(const kafka::Config& config,
                                                            const std::string& topic,
                                                            const Clock& clock,
                                                            const Logger& logger) {
  SLUICE_TRY_ASSIGN(const auto consumer,
                    kafka::open_table_consumer(config, {}, topic, clock, logger));
  NoReading listener;
  std::vector<kafka::RecordView> none;
  const MonoTime deadline = clock.mono() + kAnswerTimeout;
  std::size_t found = 0;
  while (clock.mono() < deadline) {
    SLUICE_TRY(consumer->poll(std::chrono::milliseconds(20), 0, listener, none));
    consumer->refresh_end_offsets();
    std::map<kafka::Partition, kafka::Offset> ends;
    for (const kafka::TopicPartition& partition : listener.assigned) {
      if (const auto end = consumer->end_offset(partition)) {
        ends.emplace(partition.partition, end->offset);
      }
    }
    found = ends.size();
    if (found > 0 && found == listener.assigned.size()) return ends;
  }
  return fail(ErrorCode::kDeadlineExceeded,
              std::format("{}: the ends of {} of {} partitions are known", topic, found,
                          listener.assigned.size()));
}

}  // namespace

TopicTail::TopicTail(std::string topic, std::map<kafka::Partition, kafka::Offset> next,
                     std::unique_ptr<kafka::PartitionReader> reader)
    : topic_(std::move(topic)), next_(std::move(next)), reader_(std::move(reader)) {}

Result<TopicTail> TopicTail::open(const kafka::Config& config, const std::string& topic,
                                  const Clock& clock, const Logger& logger) {
  SLUICE_TRY_ASSIGN(auto ends, find_ends(config, topic, clock, logger));
  SLUICE_TRY_ASSIGN(auto reader, kafka::open_partition_reader(config, {}, clock, logger));
  return TopicTail(topic, std::move(ends), std::move(reader));
}

Result<> TopicTail::read_on(const Take& take) {
  std::vector<kafka::Stretch> stretches;
  for (const auto& [partition, next] : next_) {
    stretches.push_back({.partition = {topic_, partition}, .from = next});
  }
  return reader_->read(stretches, kReadTimeout, [&](const kafka::RecordView& record) {
    next_[record.partition] = kafka::Offset(record.offset.value() + 1);
    take(record);
    return true;
  });
}

}  // namespace sluice::sim
