#include "fake_kafka_broker.h"

namespace sluice::testing::fake_kafka {
namespace {

class FakeAdmin final : public kafka::TopicAdmin {
 public:
  FakeAdmin(std::shared_ptr<Broker> broker, const Logger& logger)
      : broker_(std::move(broker)), logger_(logger) {}

  Result<> ensure(std::span<const kafka::TopicSpec> topics,
                  std::chrono::milliseconds timeout) override {
    std::vector<kafka::TopicDescription> found;
    for (const kafka::TopicSpec& topic : topics) {
      {
        const std::lock_guard lock(broker_->mutex);
        SLUICE_TRY(check_reachable());
        if (!broker_->topics.contains(topic.name)) {
          broker_->make_topic(std::string(topic.name), topic.partitions, kafka::config_of(topic));
        }
      }
      SLUICE_TRY_ASSIGN(kafka::TopicDescription description, describe(topic.name, timeout));
      found.push_back(std::move(description));
    }
    return kafka::judge(topics, found, logger_);
  }

  Result<kafka::TopicDescription> describe(std::string_view topic,
                                           std::chrono::milliseconds) override {
    const std::lock_guard lock(broker_->mutex);
    SLUICE_TRY(check_reachable());
    const auto found = broker_->topics.find(topic);
    if (found == broker_->topics.end())
      return fail(ErrorCode::kNotFound, "describe topic: not found");
    return kafka::TopicDescription{
        .partitions = static_cast<std::int32_t>(found->second.partitions.size()),
        .replication = 1,
        .config = found->second.config};
  }

  Result<> remove(std::span<const std::string> topics, std::chrono::milliseconds) override {
    const std::lock_guard lock(broker_->mutex);
    SLUICE_TRY(check_reachable());
    for (const std::string& topic : topics) broker_->topics.erase(topic);
    for (auto& [name, group] : broker_->groups) broker_->rebalance(group);
    broker_->note_change();
    return {};
  }

  Result<std::vector<kafka::PartitionLag>> group_lag(std::string_view group, std::string_view topic,
                                                     std::chrono::milliseconds) override {
    const std::lock_guard lock(broker_->mutex);
    SLUICE_TRY(check_reachable());
    const auto found = broker_->topics.find(topic);
    if (found == broker_->topics.end())
      return fail(ErrorCode::kNotFound, "describe topic: not found");
    const auto& committed = broker_->groups[std::string(group)].committed;
    std::vector<kafka::PartitionLag> lags;
    for (std::size_t i = 0; i < found->second.partitions.size(); ++i) {
      const Log& log = found->second.partitions[i];
      TopicPartition partition{found->first, Partition(static_cast<std::int32_t>(i))};
      const auto reached = committed.find(partition);
      const std::int64_t from =
          reached == committed.end() ? log.start : std::max(log.start, reached->second.value());
      lags.push_back({std::move(partition), log.next - from});
    }
    return lags;
  }

 private:
  Result<> check_reachable() const {
    if (broker_->is_reachable) return {};
    return fail(ErrorCode::kUnavailable, "kafka cannot be reached");
  }

  const std::shared_ptr<Broker> broker_;  // owned with FakeKafka and its other clients
  const Logger& logger_;
};

}  // namespace

std::unique_ptr<kafka::TopicAdmin> make_admin(std::shared_ptr<Broker> broker,
                                              const Logger& logger) {
  return std::make_unique<FakeAdmin>(std::move(broker), logger);
}

}  // namespace sluice::testing::fake_kafka
