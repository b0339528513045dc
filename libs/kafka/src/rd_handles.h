#pragma once

#include <memory>

#include <librdkafka/rdkafka.h>

/// Owners of what librdkafka hands out: destroyed in reverse order of declaration, which is the
/// order that librdkafka asks for (topics and queues before the client they belong to).
namespace sluice::kafka::rd {

template <auto kDestroy>
struct Destroy {
  template <typename T>
  void operator()(T* object) const {
    kDestroy(object);
  }
};

template <typename T, auto kDestroy>
using Owned = std::unique_ptr<T, Destroy<kDestroy>>;

using Conf = Owned<rd_kafka_conf_t, rd_kafka_conf_destroy>;
using Client = Owned<rd_kafka_t, rd_kafka_destroy>;
using Queue = Owned<rd_kafka_queue_t, rd_kafka_queue_destroy>;
using Topic = Owned<rd_kafka_topic_t, rd_kafka_topic_destroy>;
using Event = Owned<rd_kafka_event_t, rd_kafka_event_destroy>;
using Headers = Owned<rd_kafka_headers_t, rd_kafka_headers_destroy>;
using Message = Owned<rd_kafka_message_t, rd_kafka_message_destroy>;
using KafkaError = Owned<rd_kafka_error_t, rd_kafka_error_destroy>;
using PartitionList = Owned<rd_kafka_topic_partition_list_t, rd_kafka_topic_partition_list_destroy>;
using AdminOptions = Owned<rd_kafka_AdminOptions_t, rd_kafka_AdminOptions_destroy>;

}  // namespace sluice::kafka::rd
