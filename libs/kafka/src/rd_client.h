#pragma once

#include "rd_handles.h"

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/record.h>
#include <sluice/log/logger.h>

/// What every librdkafka client of ours shares: configuration, logging, errors, names.
namespace sluice::kafka::rd {

using Options = std::initializer_list<std::pair<const char*, std::string>>;

/// Brokers, security and the settings that all clients share. The client's log lines go to
/// `logger`, which must outlive it; `owner` is for the callbacks of the owner (see owner_of).
struct Opaque {
  const Logger* logger;
  void* owner;
  std::string connect_through{};  // see Config
};
Result<Conf> make_conf(const Config& config, Opaque& opaque, const Options& options);

Result<Client> make_client(rd_kafka_type_t type, Conf conf);

/// What kind of failure it is, in our words. Decided here once for all of Kafka.
ErrorCode code_of(rd_kafka_resp_err_t error);
Error error_of(rd_kafka_resp_err_t error, std::string_view what);
Error error_of(const rd_kafka_error_t& error, std::string_view what);

/// "telemetry.raw" to "sluice.telemetry.raw" and back.
std::string full_name(const Config& config, std::string_view topic);
std::string_view short_name(const Config& config, std::string_view full_topic);

PartitionList make_list(const Config& config, std::span<const TopicPartition> partitions);
rd_kafka_topic_partition_t* add_to(rd_kafka_topic_partition_list_t& list, const Config& config,
                                   const TopicPartition& partition);

/// How many partitions a topic has, as the brokers say now.
Result<std::int32_t> partition_count(rd_kafka_t& client, const Config& config,
                                     std::string_view topic, std::chrono::milliseconds timeout);

/// librdkafka takes milliseconds as int.
int to_ms(std::chrono::milliseconds time);

}  // namespace sluice::kafka::rd
