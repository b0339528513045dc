#pragma once

#include "rd_client.h"

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <sluice/base/backoff.h>
#include <sluice/kafka/producer.h>

namespace sluice::kafka::rd {

/// Producer over librdkafka. Delivery reports come as events, a whole batch each, through
/// librdkafka's own queue, which wakes the owner by an eventfd: no thread, lock or allocation of
/// ours is on the way.
///
/// What a record needs until it completes is a Slot, reused from a free list; its number travels
/// through librdkafka as the message's opaque. The record's bytes are kept by librdkafka alone:
/// when the client must be rebuilt it hands them back with the failed delivery reports.
class RdProducer final : public Producer {
 public:
  RdProducer(const Config& config, const ProducerConfig& producer, const Clock& clock,
             Random& random, const Logger& logger, Registry& registry);
  ~RdProducer() override;

  Result<> open();

  Result<> try_append(const Record& record, std::uint64_t token) override;
  std::size_t poll(std::vector<Completion>& out) override;
  int wake_fd() const override { return wake_fd_; }
  void wait(std::chrono::milliseconds timeout) override;
  Result<> flush(std::chrono::milliseconds timeout) override;
  std::size_t in_flight() const override { return in_flight_; }
  Result<std::int32_t> partition_count(std::string_view topic,
                                       std::chrono::milliseconds timeout) override;

  /// For tests, which make the client fail.
  rd_kafka_t& native() { return *client_; }

 private:
  struct Slot {
    std::uint64_t token = 0;
    std::uint64_t sequence = 0;  // order of appending, in which a rebuilt client sends again
    MonoTime appended_at{};      // as of the last poll(): exact enough for the delivery timeout
    std::uint32_t bytes = 0;
    std::uint32_t next_free = 0;
  };

  /// A record that a client gave back, to be sent by the next one.
  struct Returned {
    std::uint32_t slot;
    std::uint64_t sequence;
    std::string topic;
    std::int32_t partition;
    std::string key;
    std::optional<std::string> value;
    Headers headers;
    std::int64_t timestamp_ms;
  };

  struct Metrics {
    explicit Metrics(Registry& registry);
    Registry& registry;
    Gauge in_flight_records;
    Gauge in_flight_bytes;
    Counter acked;
    Counter refused;
    Counter rebuilds;
    Histogram ack_latency;
    Counter failed(ErrorCode code) const;
  };

  Result<Client> make_client();
  Result<rd_kafka_topic_t*> find_topic(std::string_view topic);
  Result<> produce(const Record& record, std::uint32_t slot);
  KafkaError resend(const Returned& record);
  std::uint32_t take_slot();
  void free_slot(std::uint32_t slot);

  void collect(std::vector<Completion>& out);
  void on_delivered(const rd_kafka_message_t& message, std::vector<Completion>& out);
  void complete_failed(std::uint32_t slot, ErrorCode code, bool may_be_stored,
                       std::vector<Completion>& out);
  bool should_send_again(const rd_kafka_message_t& message);
  void keep(const rd_kafka_message_t& message, std::uint32_t slot);
  void start_rebuild(rd_kafka_resp_err_t error, const char* reason);
  void continue_rebuild(std::vector<Completion>& out);
  void report_gauges();

  const Config config_;
  const ProducerConfig limits_;
  const Clock& clock_;
  const Logger& logger_;
  Metrics metrics_;
  Opaque opaque_;
  int wake_fd_ = -1;

  Client client_;
  Queue events_;
  std::map<std::string, Topic, std::less<>> topics_;
  std::string last_topic_name_;  // most producers use one topic
  rd_kafka_topic_t* last_topic_ = nullptr;

  std::vector<Slot> slots_;
  std::uint32_t free_slot_;
  std::uint64_t next_sequence_ = 0;
  std::size_t in_flight_ = 0;
  std::size_t in_flight_bytes_ = 0;
  double reported_records_ = 0;
  double reported_bytes_ = 0;
  MonoTime now_{};
  std::vector<Completion> ready_;  // completed while flush() waited

  bool is_rebuilding_ = false;
  std::vector<Returned> returned_;
  Backoff rebuild_backoff_;
  MonoTime rebuild_not_before_{};
  std::jthread retiring_;  // destroys the old client, which takes a while
  std::atomic<bool> is_retiring_{false};
};

}  // namespace sluice::kafka::rd
