#include "kafka/cluster.h"

#include "kafka/sim_consumer.h"
#include "kafka/sim_producer.h"

#include <utility>

namespace sluice::simulation {

void Cluster::create_topic(std::string_view topic, std::int32_t partitions,
                           kafka::Cleanup cleanup) {
  kafka_.create_topic(topic, partitions, cleanup);
  partitions_.emplace(topic, partitions);
}

std::unique_ptr<kafka::Producer> Cluster::producer(std::string name,
                                                   const kafka::ProducerConfig& config,
                                                   std::function<void()> wake) {
  return std::make_unique<SimProducer>(*this, std::move(name), config, std::move(wake));
}

std::unique_ptr<kafka::Consumer> Cluster::consumer(std::string_view group,
                                                   std::vector<std::string> topics) {
  auto fake = kafka_.group_consumer(group, topics);
  return std::make_unique<SimConsumer>(*this, std::string(group), std::move(topics),
                                       std::move(fake));
}

void Cluster::go_down(Duration time) {
  world_.trace.note("kafka down");
  if (downs_++ == 0) kafka_.set_reachable(false);
  world_.after(time, [this] {
    if (--downs_ > 0) return;
    kafka_.set_reachable(true);
    world_.trace.note("kafka up");
  });
}

std::int32_t Cluster::partitions_of(std::string_view topic) const {
  const auto found = partitions_.find(topic);
  return found == partitions_.end() ? 0 : found->second;
}

std::int64_t Cluster::end_of(const kafka::TopicPartition& partition) const {
  const auto found = ends_.find(partition);
  return found == ends_.end() ? 0 : found->second;
}

kafka::Offset Cluster::append(std::string_view topic, kafka::Partition partition,
                              std::string_view key, std::optional<std::string_view> value) {
  const kafka::Offset offset = kafka_.append(topic, key, value, partition);
  ends_[{std::string(topic), partition}] = offset.value() + 1;
  world_.trace.note("append {}/{}@{} {}", topic, partition.value(), offset.value(), key);
  if (observer_ != nullptr) {
    observer_->on_appended({topic, partition, offset, key, value.value_or("")});
  }
  return offset;
}

void Cluster::tell_commits(std::string_view group, const std::vector<std::string>& topics) {
  for (const std::string& topic : topics) {
    for (std::int32_t number = 0; number < partitions_of(topic); ++number) {
      kafka::TopicPartition partition{topic, kafka::Partition(number)};
      const auto next = kafka_.committed(group, partition);
      if (!next) continue;
      const auto [known, is_new] = committed_.try_emplace({std::string(group), partition}, *next);
      if (!is_new && known->second == *next) continue;
      known->second = *next;
      world_.trace.note("commit {} {}/{} {}", group, topic, number, next->value());
      if (observer_ != nullptr) observer_->on_committed(group, partition, *next);
    }
  }
}

}  // namespace sluice::simulation
