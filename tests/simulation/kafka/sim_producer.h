#pragma once

#include "kafka/cluster.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::simulation {

/// An idempotent producer: one request under way for each partition, sent again until it is
/// answered or its records are too old, stored once. What waits is sent in order.
///
/// wait() and flush() let the world go on, as blocking calls do.
class SimProducer final : public kafka::Producer {
 public:
  SimProducer(Cluster& cluster, std::string name, const kafka::ProducerConfig& config,
              std::function<void()> wake);
  /// The process is gone. What its requests carry may still arrive.
  ~SimProducer() override;

  Result<> try_append(const kafka::Record& record, std::uint64_t token) override;
  std::size_t poll(std::vector<kafka::Completion>& out) override;
  int wake_fd() const override { return -1; }
  void wait(std::chrono::milliseconds timeout) override;
  Result<> flush(std::chrono::milliseconds timeout) override;
  std::size_t in_flight() const override;
  Result<std::int32_t> partition_count(std::string_view topic, std::chrono::milliseconds) override;

 private:
  struct Sent {
    std::uint64_t token = 0;
    std::string key;
    std::optional<std::string> value;
    MonoTime taken_at{};
    std::optional<kafka::Offset> offset;  // once it is stored
  };
  /// What goes to one partition.
  struct Lane {
    std::string topic;
    kafka::Partition partition{0};
    std::deque<Sent> waiting;  // the first `requested` of them are in the request under way
    std::size_t requested = 0;
  };
  /// Owned with the requests under way, which outlive a process that crashes.
  struct State {
    State(Cluster& c, std::string n, const kafka::ProducerConfig& l, std::function<void()> w)
        : cluster(c), name(std::move(n)), limits(l), wake(std::move(w)) {}
    Cluster& cluster;
    const std::string name;
    const kafka::ProducerConfig limits;
    const std::function<void()> wake;
    std::map<kafka::TopicPartition, Lane> lanes;
    std::vector<kafka::Completion> ready;
    std::size_t in_flight = 0;
    bool is_gone = false;
  };
  using Shared = std::shared_ptr<State>;

  static void begin_request(const Shared& state, Lane& lane);
  static void send(const Shared& state, Lane& lane);
  static void arrive(const Shared& state, Lane& lane);
  static void answer(const Shared& state, Lane& lane);
  static void expire(State& state, Lane& lane);
  static void complete(State& state, Lane& lane, std::optional<ErrorCode> failure);

  Shared state_;
};

}  // namespace sluice::simulation
