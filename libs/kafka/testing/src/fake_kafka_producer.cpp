#include "fake_kafka_broker.h"

#include <algorithm>
#include <format>

namespace sluice::testing::fake_kafka {
namespace {

class FakeProducer final : public kafka::Producer {
 public:
  FakeProducer(std::shared_ptr<Broker> broker, kafka::ProducerConfig limits)
      : broker_(std::move(broker)), limits_(std::move(limits)) {
    const std::lock_guard lock(broker_->mutex);
    broker_->producers.insert(&state_);
  }
  ~FakeProducer() override {
    const std::lock_guard lock(broker_->mutex);
    broker_->producers.erase(&state_);
  }

  Result<> try_append(const kafka::Record& record, std::uint64_t token) override;
  std::size_t poll(std::vector<kafka::Completion>& out) override;
  int wake_fd() const override { return -1; }
  void wait(std::chrono::milliseconds timeout) override;
  Result<> flush(std::chrono::milliseconds timeout) override;
  std::size_t in_flight() const override;
  Result<std::int32_t> partition_count(std::string_view topic, std::chrono::milliseconds) override;

 private:
  bool is_complete(const Sent& sent) const;
  bool is_late(const Sent& sent) const {
    return broker_->clock.mono() - sent.taken_at >= limits_.delivery_timeout;
  }
  std::size_t collect(std::vector<kafka::Completion>& out);

  const std::shared_ptr<Broker> broker_;  // owned with FakeKafka and its other clients
  const kafka::ProducerConfig limits_;
  ProducerState state_;
  std::vector<kafka::Completion> ready_;  // completed while flush() waited
};

Sent to_sent(const kafka::Record& record, std::uint64_t token, const Clock& clock) {
  Sent sent{
      .token = token, .topic = std::string(record.topic), .record = {}, .taken_at = clock.mono()};
  sent.record.partition = record.partition.value_or(Partition(-1));
  sent.record.key = record.key;
  if (record.value) sent.record.value.emplace(*record.value);
  sent.bytes = record.key.size() + record.value.value_or("").size();
  for (const kafka::Header& header : record.headers) {
    sent.record.headers.emplace_back(header.name, header.value);
    sent.bytes += header.name.size() + header.value.size();
  }
  sent.record.timestamp = record.timestamp.value_or(clock.wall());
  return sent;
}

Result<> FakeProducer::try_append(const kafka::Record& record, std::uint64_t token) {
  const std::lock_guard lock(broker_->mutex);
  Sent sent = to_sent(record, token, broker_->clock);
  if (sent.bytes > limits_.max_record.count) {
    return fail(ErrorCode::kInvalidArgument, "record is larger than allowed");
  }
  if (record.partition && broker_->topics.contains(record.topic) &&
      broker_->find_log({std::string(record.topic), *record.partition}) == nullptr) {
    return fail(ErrorCode::kNotFound, "no such partition");
  }
  std::size_t bytes = sent.bytes;
  for (const Sent& other : state_.in_flight) bytes += other.bytes;
  if (state_.in_flight.size() >= static_cast<std::size_t>(limits_.max_in_flight_records) ||
      bytes > limits_.max_in_flight.count) {
    return fail(ErrorCode::kResourceExhausted, "too many records in flight to kafka");
  }
  state_.in_flight.push_back(std::move(sent));
  broker_->serve_producer(state_);
  broker_->note_change();
  return {};
}

bool FakeProducer::is_complete(const Sent& sent) const {
  if (sent.has_outcome && broker_->is_reachable && !broker_->holds_acks) return true;
  return is_late(sent);
}

std::size_t FakeProducer::collect(std::vector<kafka::Completion>& out) {
  const std::size_t before = out.size();
  std::erase_if(state_.in_flight, [&](const Sent& sent) {
    if (!is_complete(sent)) return false;
    kafka::Completion completion{.token = sent.token, .failure = sent.failure};
    if (!sent.has_outcome || broker_->holds_acks || !broker_->is_reachable) {
      completion.failure = ErrorCode::kDeadlineExceeded;
    }
    if (completion.failure) {
      completion.may_be_stored = sent.is_stored;
    } else {
      completion.partition = sent.record.partition;
      completion.offset = sent.record.offset;
    }
    out.push_back(completion);
    return true;
  });
  return out.size() - before;
}

std::size_t FakeProducer::poll(std::vector<kafka::Completion>& out) {
  const std::lock_guard lock(broker_->mutex);
  const std::size_t kept = ready_.size();
  out.insert(out.end(), ready_.begin(), ready_.end());
  ready_.clear();
  return kept + collect(out);
}

void FakeProducer::wait(std::chrono::milliseconds timeout) {
  std::unique_lock lock(broker_->mutex);
  broker_->changed.wait_for(lock, timeout, [&] {
    return std::ranges::any_of(state_.in_flight,
                               [&](const Sent& sent) { return is_complete(sent); });
  });
}

Result<> FakeProducer::flush(std::chrono::milliseconds timeout) {
  std::unique_lock lock(broker_->mutex);
  broker_->changed.wait_for(lock, timeout, [&] {
    collect(ready_);
    return state_.in_flight.empty();
  });
  if (state_.in_flight.empty()) return {};
  return fail(ErrorCode::kDeadlineExceeded,
              std::format("{} records are still unacknowledged by kafka", state_.in_flight.size()));
}

std::size_t FakeProducer::in_flight() const {
  const std::lock_guard lock(broker_->mutex);
  return state_.in_flight.size();
}

Result<std::int32_t> FakeProducer::partition_count(std::string_view topic,
                                                   std::chrono::milliseconds) {
  const std::lock_guard lock(broker_->mutex);
  if (!broker_->is_reachable) return fail(ErrorCode::kUnavailable, "kafka cannot be reached");
  const auto found = broker_->topics.find(topic);
  if (found == broker_->topics.end())
    return fail(ErrorCode::kNotFound, "describe topic: not found");
  return static_cast<std::int32_t>(found->second.partitions.size());
}

}  // namespace

std::unique_ptr<kafka::Producer> make_producer(std::shared_ptr<Broker> broker,
                                               kafka::ProducerConfig limits) {
  return std::make_unique<FakeProducer>(std::move(broker), std::move(limits));
}

}  // namespace sluice::testing::fake_kafka
