#pragma once

#include "core/broker.h"
#include "ports.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <sluice/kafka/producer.h>

namespace sluice::front {

/// One loop's way to Kafka: a producer of its own, so that an acknowledgement wakes the loop whose
/// client awaits it and no other. One owner: the loop.
class KafkaSink final : public RecordSink {
 public:
  /// `room` records must be free before a socket is read: one read can bring as many.
  KafkaSink(std::unique_ptr<kafka::Producer> producer, std::size_t max_in_flight, std::size_t room);

  /// How many partitions a topic has, once somebody has asked Kafka; until then the producer finds
  /// each record's partition by itself.
  void set_partitions(std::string_view topic, std::int32_t count);

  Result<> try_append(const Record& record, std::uint64_t token) override;
  std::int32_t partition_of(std::string_view topic, std::string_view key) override;
  bool is_full() const override { return producer_->in_flight() >= full_at_; }

  /// What has come back since the last call; valid until the next.
  std::span<const Broker::Stored> poll();
  int wake_fd() const { return producer_->wake_fd(); }
  std::size_t in_flight() const { return producer_->in_flight(); }
  Result<> flush(std::chrono::milliseconds timeout) { return producer_->flush(timeout); }

 private:
  std::unique_ptr<kafka::Producer> producer_;
  const std::size_t full_at_;
  std::unordered_map<std::string, std::int32_t> partitions_;
  std::vector<kafka::Completion> completions_;
  std::vector<Broker::Stored> stored_;
};

}  // namespace sluice::front
