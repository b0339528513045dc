#include "fake_kafka_broker.h"

#include <algorithm>

namespace sluice::testing::fake_kafka {
namespace {

class FakePartitionReader final : public kafka::PartitionReader {
 public:
  explicit FakePartitionReader(std::shared_ptr<Broker> broker) : broker_(std::move(broker)) {}

  Result<> read(std::span<const kafka::Stretch> stretches, std::chrono::milliseconds,
                const Take& take) override {
    for (const kafka::Stretch& stretch : stretches) {
      SLUICE_TRY_ASSIGN(const std::vector<StoredRecord> records, copy(stretch));
      for (const StoredRecord& record : records) {
        kafka::RecordView view{.topic = stretch.partition.topic,
                               .partition = record.partition,
                               .offset = record.offset,
                               .key = record.key,
                               .value = {},
                               .timestamp = record.timestamp};
        if (record.value) view.value = *record.value;
        if (!take(view)) return {};
      }
    }
    return {};
  }

 private:
  /// Without the lock the records may be handed out: whoever takes one may call us.
  Result<std::vector<StoredRecord>> copy(const kafka::Stretch& stretch) {
    const std::lock_guard lock(broker_->mutex);
    if (!broker_->is_reachable) return fail(ErrorCode::kDeadlineExceeded, "kafka is unreachable");
    const Log* log = broker_->find_log(stretch.partition);
    if (log == nullptr) return fail(ErrorCode::kNotFound, "no such partition");
    std::int64_t end = log->next;
    if (stretch.to) end = std::min(end, stretch.to->value());
    std::int64_t from = stretch.from ? stretch.from->value() : 0;
    if (stretch.last) from = std::max(from, end - *stretch.last);
    std::vector<StoredRecord> records;
    for (const StoredRecord& record : log->records) {
      if (record.offset.value() >= from && record.offset.value() < end) records.push_back(record);
    }
    return records;
  }

  std::shared_ptr<Broker> broker_;  // with every other client: see FakeKafka
};

}  // namespace

std::unique_ptr<kafka::PartitionReader> make_partition_reader(std::shared_ptr<Broker> broker) {
  return std::make_unique<FakePartitionReader>(std::move(broker));
}

}  // namespace sluice::testing::fake_kafka
