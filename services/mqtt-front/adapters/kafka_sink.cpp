#include "adapters/kafka_sink.h"

#include <utility>

namespace sluice::front {

KafkaSink::KafkaSink(std::unique_ptr<kafka::Producer> producer, std::size_t max_in_flight,
                     std::size_t room)
    : producer_(std::move(producer)),
      full_at_(max_in_flight > room ? max_in_flight - room : max_in_flight / 2 + 1) {}

void KafkaSink::set_partitions(std::string_view topic, std::int32_t count) {
  partitions_[std::string(topic)] = count;
}

Result<> KafkaSink::try_append(const Record& record, std::uint64_t token) {
  kafka::Record native{.topic = record.topic, .key = record.key, .value = record.value};
  if (record.partition >= 0) native.partition = kafka::Partition(record.partition);
  return producer_->try_append(native, token);
}

std::int32_t KafkaSink::partition_of(std::string_view topic, std::string_view key) {
  const auto found = partitions_.find(std::string(topic));
  return found == partitions_.end() ? -1 : kafka::partition_for_key(key, found->second).value();
}

std::span<const Broker::Stored> KafkaSink::poll() {
  completions_.clear();
  stored_.clear();
  producer_->poll(completions_);
  for (const kafka::Completion& completion : completions_) {
    stored_.push_back({.token = completion.token, .is_stored = !completion.failure});
  }
  return stored_;
}

}  // namespace sluice::front
