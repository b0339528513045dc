#pragma once

#include "contract.h"

#include <sluice/base/check.h>
#include <sluice/testing/environment.h>

namespace sluice::kafka::contract {

/// The broker of SLUICE_TEST_KAFKA_BROKERS, with a namespace of its own for each world.
class BrokerWorld final : public World {
 public:
  BrokerWorld() : BrokerWorld(testing::require_env("SLUICE_TEST_KAFKA_BROKERS")) {}
  explicit BrokerWorld(std::string brokers) {
    config.brokers = std::move(brokers);
    config.name_space = testing::unique_name("ns") + ".";
    admin_ = opened(open_topic_admin(config, logger));
  }

  std::unique_ptr<Producer> producer(const ProducerConfig& limits) override {
    return opened(open_producer(config, limits, clock, random, logger, registry));
  }
  std::unique_ptr<Consumer> group_consumer(const std::string& group,
                                           std::vector<std::string> topics) override {
    return opened(
        open_group_consumer(config, quick_limits(), group, std::move(topics), clock, logger));
  }
  std::unique_ptr<Consumer> table_consumer(const std::string& topic) override {
    return opened(open_table_consumer(config, quick_limits(), topic, clock, logger));
  }
  std::unique_ptr<PartitionReader> partition_reader() override {
    return opened(open_partition_reader(config, quick_limits(), clock, logger));
  }
  TopicAdmin& admin() override { return *admin_; }

  Config config;

 private:
  template <typename T>
  static std::unique_ptr<T> opened(Result<std::unique_ptr<T>> result) {
    SLUICE_CHECK(result.has_value());
    return *std::move(result);
  }

  std::unique_ptr<TopicAdmin> admin_;
};

}  // namespace sluice::kafka::contract
