#include <sluice/kafka/topic_admin.h>

#include "rd_client.h"

#include <algorithm>
#include <array>
#include <format>
#include <utility>

#include <sluice/base/clock.h>

namespace sluice::kafka {
namespace rd {
namespace {

using NewTopic = Owned<rd_kafka_NewTopic_t, rd_kafka_NewTopic_destroy>;
using DeleteTopic = Owned<rd_kafka_DeleteTopic_t, rd_kafka_DeleteTopic_destroy>;
using TopicNames = Owned<rd_kafka_TopicCollection_t, rd_kafka_TopicCollection_destroy>;
using ConfigResource = Owned<rd_kafka_ConfigResource_t, rd_kafka_ConfigResource_destroy>;
using GroupQuery =
    Owned<rd_kafka_ListConsumerGroupOffsets_t, rd_kafka_ListConsumerGroupOffsets_destroy>;

// Pause between looks at a topic that was just made and that not every broker knows yet.
constexpr std::chrono::milliseconds kPropagationStep{50};

// What a broker needs at least to answer anything.
constexpr std::chrono::milliseconds kMinTimeout{100};

/// librdkafka's admin calls take arrays of bare pointers.
template <typename Handles>
auto pointers(const Handles& handles) {
  std::vector<decltype(handles.front().get())> bare;
  bare.reserve(handles.size());
  for (const auto& handle : handles) bare.push_back(handle.get());
  return bare;
}

/// Admin calls over a client of their own. Every call has a queue of its own for its answer, so
/// that calls of several threads do not take each other's.
class RdTopicAdmin final : public TopicAdmin {
 public:
  RdTopicAdmin(const Config& config, const Logger& logger)
      : config_(config), logger_(logger), opaque_{&logger, this} {}

  Result<> open() {
    SLUICE_TRY_ASSIGN(Conf conf, make_conf(config_, opaque_, {}));
    SLUICE_TRY_ASSIGN(client_, make_client(RD_KAFKA_PRODUCER, std::move(conf)));
    return {};
  }

  Result<> ensure(std::span<const TopicSpec> topics, std::chrono::milliseconds timeout) override;
  Result<TopicDescription> describe(std::string_view topic,
                                    std::chrono::milliseconds timeout) override;
  Result<> remove(std::span<const std::string> topics, std::chrono::milliseconds timeout) override;
  Result<std::vector<PartitionLag>> group_lag(std::string_view group, std::string_view topic,
                                              std::chrono::milliseconds timeout) override;

 private:
  /// One for all requests of a call, so that many of them take no longer than one may.
  MonoTime deadline_after(std::chrono::milliseconds timeout) const {
    return clock_.mono() + std::max(timeout, kMinTimeout);
  }
  /// Sends a request by `send(options, queue)` and waits for its answer.
  template <typename Send>
  Result<Event> call(rd_kafka_admin_op_t operation, std::string_view what, MonoTime deadline,
                     Send send);
  Result<> create(std::span<const TopicSpec> topics, MonoTime deadline);
  /// Describes a topic that exists, though the broker that is asked may not know it yet.
  Result<TopicDescription> await(std::string_view topic, MonoTime deadline);
  Result<TopicDescription> describe_until(std::string_view topic, MonoTime deadline);
  Result<TopicDescription> describe_partitions(const std::string& name, MonoTime deadline);
  Result<std::map<TopicPartition, std::int64_t>> offsets_at(
      std::span<const TopicPartition> partitions, std::int64_t where, MonoTime deadline);

  const Config config_;
  const Logger& logger_;
  const SystemClock clock_;  // what librdkafka's own time-outs run by
  Opaque opaque_;
  Client client_;
};

template <typename Send>
Result<Event> RdTopicAdmin::call(rd_kafka_admin_op_t operation, std::string_view what,
                                 MonoTime deadline, Send send) {
  const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock_.mono());
  if (timeout.count() <= 0) {
    return fail(ErrorCode::kDeadlineExceeded, std::format("{}: no time left", what));
  }
  const AdminOptions options(rd_kafka_AdminOptions_new(client_.get(), operation));
  rd_kafka_AdminOptions_set_request_timeout(options.get(), to_ms(timeout), nullptr, 0);
  if (operation == RD_KAFKA_ADMIN_OP_CREATETOPICS || operation == RD_KAFKA_ADMIN_OP_DELETETOPICS) {
    // How long the broker itself waits until all brokers know of the change.
    rd_kafka_AdminOptions_set_operation_timeout(options.get(), to_ms(timeout), nullptr, 0);
  }
  const Queue queue(rd_kafka_queue_new(client_.get()));
  send(options.get(), queue.get());
  // librdkafka answers by itself when the time is up; the second is for it to do so.
  Event event(rd_kafka_queue_poll(queue.get(), to_ms(timeout + std::chrono::seconds(1))));
  if (!event) return fail(ErrorCode::kDeadlineExceeded, std::format("{}: no answer in time", what));
  if (const auto error = rd_kafka_event_error(event.get()); error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return fail(Error(code_of(error), rd_kafka_event_error_string(event.get()))
                    .context(what)
                    .with_reason(rd_kafka_err2name(error)));
  }
  return event;
}

Result<> RdTopicAdmin::ensure(std::span<const TopicSpec> topics,
                              std::chrono::milliseconds timeout) {
  const MonoTime deadline = deadline_after(timeout);
  std::vector<TopicSpec> wanted;
  for (const TopicSpec& topic : topics) wanted.push_back(as_configured(topic, config_));
  if (config_.topic_create) SLUICE_TRY(create(wanted, deadline));
  std::vector<TopicDescription> found;
  for (const TopicSpec& topic : wanted) {
    auto description = await(topic.name, deadline);
    if (!description) {
      return fail(std::move(description).error().context(std::format("topic '{}'", topic.name)));
    }
    found.push_back(*std::move(description));
  }
  return judge(wanted, found, logger_);
}

Result<TopicDescription> RdTopicAdmin::await(std::string_view topic, MonoTime deadline) {
  const Queue never(rd_kafka_queue_new(client_.get()));
  while (true) {
    auto description = describe_until(topic, deadline);
    if (description || description.error().code() != ErrorCode::kNotFound ||
        clock_.mono() + kPropagationStep >= deadline) {
      return description;
    }
    const Event none(rd_kafka_queue_poll(never.get(), to_ms(kPropagationStep)));
  }
}

Result<> RdTopicAdmin::create(std::span<const TopicSpec> topics, MonoTime deadline) {
  if (topics.empty()) return {};
  std::vector<NewTopic> wanted;
  for (const TopicSpec& topic : topics) {
    std::array<char, 256> why{};
    NewTopic made(rd_kafka_NewTopic_new(full_name(config_, topic.name).c_str(), topic.partitions,
                                        topic.replication > 0 ? topic.replication : -1, why.data(),
                                        why.size()));
    if (!made) {
      return fail(ErrorCode::kInvalidArgument,
                  std::format("topic '{}': {}", topic.name, why.data()));
    }
    for (const auto& [name, value] : config_of(topic)) {
      rd_kafka_NewTopic_set_config(made.get(), name.c_str(), value.c_str());
    }
    wanted.push_back(std::move(made));
  }
  auto bare = pointers(wanted);
  SLUICE_TRY_ASSIGN(const Event event,
                    call(RD_KAFKA_ADMIN_OP_CREATETOPICS, "create topics", deadline,
                         [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                           rd_kafka_CreateTopics(client_.get(), bare.data(), bare.size(), options,
                                                 queue);
                         }));

  std::size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  for (const rd_kafka_topic_result_t* result : std::span(results, count)) {
    const auto error = rd_kafka_topic_result_error(result);
    const std::string_view name = short_name(config_, rd_kafka_topic_result_name(result));
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      logger_.info("kafka_topic_created", {{"topic", name}});
    } else if (error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
      const char* text = rd_kafka_topic_result_error_string(result);
      return fail(Error(code_of(error), text == nullptr ? rd_kafka_err2str(error) : text)
                      .context(std::format("create topic '{}'", name))
                      .with_reason(rd_kafka_err2name(error)));
    }
  }
  return {};
}

Result<TopicDescription> RdTopicAdmin::describe_partitions(const std::string& name,
                                                           MonoTime deadline) {
  std::array<const char*, 1> names{name.c_str()};
  const TopicNames topics(rd_kafka_TopicCollection_of_topic_names(names.data(), names.size()));
  SLUICE_TRY_ASSIGN(const Event event,
                    call(RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, "describe topic", deadline,
                         [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                           rd_kafka_DescribeTopics(client_.get(), topics.get(), options, queue);
                         }));
  std::size_t count = 0;
  const rd_kafka_TopicDescription_t** found = rd_kafka_DescribeTopics_result_topics(
      rd_kafka_event_DescribeTopics_result(event.get()), &count);
  if (count != 1) return fail(ErrorCode::kNotFound, "describe topic: not found");
  if (const rd_kafka_error_t* error = rd_kafka_TopicDescription_error(found[0]);
      error != nullptr && rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return fail(error_of(*error, "describe topic"));
  }
  TopicDescription description;
  std::size_t partitions = 0;
  const rd_kafka_TopicPartitionInfo_t** infos =
      rd_kafka_TopicDescription_partitions(found[0], &partitions);
  description.partitions = static_cast<std::int32_t>(partitions);
  if (partitions > 0) {
    std::size_t replicas = 0;
    rd_kafka_TopicPartitionInfo_replicas(infos[0], &replicas);
    description.replication = static_cast<std::int32_t>(replicas);
  }
  return description;
}

Result<TopicDescription> RdTopicAdmin::describe(std::string_view topic,
                                                std::chrono::milliseconds timeout) {
  return describe_until(topic, deadline_after(timeout));
}

Result<TopicDescription> RdTopicAdmin::describe_until(std::string_view topic, MonoTime deadline) {
  const std::string name = full_name(config_, topic);
  SLUICE_TRY_ASSIGN(TopicDescription description, describe_partitions(name, deadline));
  const ConfigResource resource(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str()));
  std::array<rd_kafka_ConfigResource_t*, 1> resources{resource.get()};
  SLUICE_TRY_ASSIGN(const Event event,
                    call(RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, "describe topic", deadline,
                         [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                           rd_kafka_DescribeConfigs(client_.get(), resources.data(),
                                                    resources.size(), options, queue);
                         }));
  std::size_t count = 0;
  const rd_kafka_ConfigResource_t** found = rd_kafka_DescribeConfigs_result_resources(
      rd_kafka_event_DescribeConfigs_result(event.get()), &count);
  for (const rd_kafka_ConfigResource_t* of_topic : std::span(found, count)) {
    if (const auto error = rd_kafka_ConfigResource_error(of_topic);
        error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return fail(error_of(error, "describe topic"));
    }
    std::size_t entries = 0;
    const rd_kafka_ConfigEntry_t** entry = rd_kafka_ConfigResource_configs(of_topic, &entries);
    for (const rd_kafka_ConfigEntry_t* setting : std::span(entry, entries)) {
      const char* value = rd_kafka_ConfigEntry_value(setting);
      if (value != nullptr) description.config[rd_kafka_ConfigEntry_name(setting)] = value;
    }
  }
  return description;
}

Result<> RdTopicAdmin::remove(std::span<const std::string> topics,
                              std::chrono::milliseconds timeout) {
  if (topics.empty()) return {};
  std::vector<DeleteTopic> unwanted;
  for (const std::string& topic : topics) {
    unwanted.emplace_back(rd_kafka_DeleteTopic_new(full_name(config_, topic).c_str()));
  }
  auto bare = pointers(unwanted);
  SLUICE_TRY_ASSIGN(const Event event,
                    call(RD_KAFKA_ADMIN_OP_DELETETOPICS, "remove topics", deadline_after(timeout),
                         [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                           rd_kafka_DeleteTopics(client_.get(), bare.data(), bare.size(), options,
                                                 queue);
                         }));
  std::size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event.get()), &count);
  for (const rd_kafka_topic_result_t* result : std::span(results, count)) {
    const auto error = rd_kafka_topic_result_error(result);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR && code_of(error) != ErrorCode::kNotFound) {
      return fail(error_of(error, "remove topics"));
    }
  }
  return {};
}

Result<std::map<TopicPartition, std::int64_t>> RdTopicAdmin::offsets_at(
    std::span<const TopicPartition> partitions, std::int64_t where, MonoTime deadline) {
  const PartitionList list = make_list(config_, partitions);
  for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = where;
  SLUICE_TRY_ASSIGN(const Event event,
                    call(RD_KAFKA_ADMIN_OP_LISTOFFSETS, "ask for offsets", deadline,
                         [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                           rd_kafka_ListOffsets(client_.get(), list.get(), options, queue);
                         }));
  std::size_t count = 0;
  const rd_kafka_ListOffsetsResultInfo_t** infos =
      rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event.get()), &count);
  std::map<TopicPartition, std::int64_t> offsets;
  for (const rd_kafka_ListOffsetsResultInfo_t* info : std::span(infos, count)) {
    const auto* found = rd_kafka_ListOffsetsResultInfo_topic_partition(info);
    if (found->err != RD_KAFKA_RESP_ERR_NO_ERROR)
      return fail(error_of(found->err, "ask for offsets"));
    offsets[{std::string(short_name(config_, found->topic)), Partition(found->partition)}] =
        found->offset;
  }
  return offsets;
}

Result<std::vector<PartitionLag>> RdTopicAdmin::group_lag(std::string_view group,
                                                          std::string_view topic,
                                                          std::chrono::milliseconds timeout) {
  const MonoTime deadline = deadline_after(timeout);
  SLUICE_TRY_ASSIGN(const TopicDescription description,
                    describe_partitions(full_name(config_, topic), deadline));
  std::vector<TopicPartition> partitions;
  for (std::int32_t i = 0; i < description.partitions; ++i) {
    partitions.push_back({std::string(topic), Partition(i)});
  }
  SLUICE_TRY_ASSIGN(auto ends, offsets_at(partitions, RD_KAFKA_OFFSET_SPEC_LATEST, deadline));
  SLUICE_TRY_ASSIGN(auto reached, offsets_at(partitions, RD_KAFKA_OFFSET_SPEC_EARLIEST, deadline));

  const PartitionList list = make_list(config_, partitions);
  const GroupQuery query(rd_kafka_ListConsumerGroupOffsets_new(
      (config_.name_space + std::string(group)).c_str(), list.get()));
  std::array<rd_kafka_ListConsumerGroupOffsets_t*, 1> queries{query.get()};
  SLUICE_TRY_ASSIGN(
      const Event event,
      call(RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, "ask for committed offsets", deadline,
           [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
             rd_kafka_ListConsumerGroupOffsets(client_.get(), queries.data(), queries.size(),
                                               options, queue);
           }));
  std::size_t count = 0;
  const rd_kafka_group_result_t** groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
      rd_kafka_event_ListConsumerGroupOffsets_result(event.get()), &count);
  for (const rd_kafka_group_result_t* result : std::span(groups, count)) {
    if (const rd_kafka_error_t* error = rd_kafka_group_result_error(result)) {
      return fail(error_of(*error, "ask for committed offsets"));
    }
    const rd_kafka_topic_partition_list_t* committed = rd_kafka_group_result_partitions(result);
    for (int i = 0; committed != nullptr && i < committed->cnt; ++i) {
      const auto& found = committed->elems[i];
      if (found.offset < 0) continue;  // nothing committed: the group begins at the beginning
      std::int64_t& from = reached[{std::string(topic), Partition(found.partition)}];
      from = std::max(from, found.offset);
    }
  }

  std::vector<PartitionLag> lags;
  for (const TopicPartition& partition : partitions) {
    const std::int64_t behind = ends[partition] - reached[partition];
    lags.push_back({partition, std::max<std::int64_t>(0, behind)});
  }
  return lags;
}

}  // namespace
}  // namespace rd

Result<std::unique_ptr<TopicAdmin>> open_topic_admin(const Config& config, const Logger& logger) {
  auto opened = std::make_unique<rd::RdTopicAdmin>(config, logger);
  SLUICE_TRY(opened->open());
  return opened;
}

}  // namespace sluice::kafka
