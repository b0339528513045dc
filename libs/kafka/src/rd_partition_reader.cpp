#include "rd_client.h"

#include <algorithm>
#include <format>
#include <string>
#include <utility>
#include <vector>

#include <sluice/kafka/partition_reader.h>

namespace sluice::kafka {
namespace rd {
namespace {

/// What is left to be read of a stretch.
struct Range {
  TopicPartition partition;
  std::int64_t next = 0;
  std::int64_t end = 0;
  bool is_done() const { return next >= end; }
};

class RdPartitionReader final : public PartitionReader {
 public:
  RdPartitionReader(const Config& config, const Clock& clock, const Logger& logger)
      : config_(config), clock_(clock), opaque_{&logger, this} {}

  Result<> open(const ConsumerConfig& limits) {
    SLUICE_TRY_ASSIGN(
        Conf conf,
        make_conf(
            config_, opaque_,
            {{"group.id", config_.client_id + "-reader"},  // wanted for assign(), told to nobody
             {"enable.auto.commit", "false"},
             {"enable.auto.offset.store", "false"},
             {"auto.offset.reset", "earliest"},
             {"allow.auto.create.topics", "false"},
             {"enable.partition.eof", "true"},
             {"check.crcs", "true"},
             // Ends are known, so a fetch never waits for records that are yet to come.
             {"fetch.wait.max.ms", "50"},
             {"queued.max.messages.kbytes", std::format("{}", limits.max_prefetch.count >> 10)}}));
    SLUICE_TRY_ASSIGN(client_, make_client(RD_KAFKA_CONSUMER, std::move(conf)));
    rd_kafka_poll_set_consumer(client_.get());
    return {};
  }

  Result<> read(std::span<const Stretch> stretches, std::chrono::milliseconds timeout,
                const Take& take) override {
    const MonoTime deadline = clock_.mono() + timeout;
    std::vector<Range> ranges;
    for (const Stretch& stretch : stretches) {
      SLUICE_TRY_ASSIGN(Range range, range_of(stretch, deadline));
      if (!range.is_done()) ranges.push_back(std::move(range));
    }
    if (ranges.empty()) return {};
    const PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(ranges.size())));
    for (const Range& range : ranges) add_to(*list, config_, range.partition)->offset = range.next;
    if (const auto error = rd_kafka_assign(client_.get(), list.get());
        error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return fail(error_of(error, "assign"));
    }
    const auto result = take_all(ranges, deadline, take);
    rd_kafka_assign(client_.get(), nullptr);
    return result;
  }

 private:
  int left_ms(MonoTime deadline) const {
    return to_ms(std::chrono::ceil<std::chrono::milliseconds>(deadline - clock_.mono()));
  }

  Result<Range> range_of(const Stretch& stretch, MonoTime deadline) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    const auto error = rd_kafka_query_watermark_offsets(
        client_.get(), full_name(config_, stretch.partition.topic).c_str(),
        stretch.partition.partition.value(), &low, &high, left_ms(deadline));
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail(error_of(error, "ask for offsets"));
    Range range{.partition = stretch.partition, .next = low, .end = high};
    if (stretch.from) range.next = std::max(low, stretch.from->value());
    if (stretch.to) range.end = std::min(high, stretch.to->value());
    if (stretch.last) range.next = std::max(range.next, range.end - *stretch.last);
    return range;
  }

  Result<> take_all(std::vector<Range>& ranges, MonoTime deadline, const Take& take) {
    while (!std::ranges::all_of(ranges, &Range::is_done)) {
      const int left = left_ms(deadline);
      if (left == 0) return fail(ErrorCode::kDeadlineExceeded, "read from kafka: took too long");
      const Message message(rd_kafka_consumer_poll(client_.get(), left));
      if (!message) continue;
      if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
          message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (message->rkt == nullptr) continue;  // of the connection: librdkafka mends it
        return fail(Error(code_of(message->err), rd_kafka_message_errstr(message.get()))
                        .context("read from kafka"));
      }
      Range* const range = find(ranges, *message);
      if (range == nullptr || range->is_done()) continue;
      if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        range->next = range->end;  // compaction may have left a gap before the end
        continue;
      }
      range->next = message->offset + 1;
      if (message->offset < range->end && !take(view_of(*message, range->partition.topic))) {
        return {};
      }
    }
    return {};
  }

  Range* find(std::vector<Range>& ranges, const rd_kafka_message_t& message) const {
    const auto topic = short_name(config_, rd_kafka_topic_name(message.rkt));
    const auto found = std::ranges::find_if(ranges, [&](const Range& range) {
      return range.partition.partition.value() == message.partition &&
             range.partition.topic == topic;
    });
    return found == ranges.end() ? nullptr : &*found;
  }

  static RecordView view_of(const rd_kafka_message_t& message, std::string_view topic) {
    RecordView view{.topic = topic,
                    .partition = Partition(message.partition),
                    .offset = Offset(message.offset)};
    if (message.key != nullptr) view.key = {static_cast<const char*>(message.key), message.key_len};
    if (message.payload != nullptr) {
      view.value.emplace(static_cast<const char*>(message.payload), message.len);
    }
    rd_kafka_timestamp_type_t type{};
    view.timestamp =
        WallTime(std::chrono::milliseconds(rd_kafka_message_timestamp(&message, &type)));
    return view;
  }

  const Config config_;
  const Clock& clock_;
  Opaque opaque_;
  Client client_;
};

}  // namespace
}  // namespace rd

Result<std::unique_ptr<PartitionReader>> open_partition_reader(const Config& config,
                                                               const ConsumerConfig& consumer,
                                                               const Clock& clock,
                                                               const Logger& logger) {
  auto opened = std::make_unique<rd::RdPartitionReader>(config, clock, logger);
  SLUICE_TRY(opened->open(consumer));
  return opened;
}

}  // namespace sluice::kafka
