#include "rd_client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace sluice::kafka::rd {
namespace {

// syslog's numbers, which librdkafka's log levels are.
constexpr int kLogErr = 3;
constexpr int kLogNotice = 5;

void write_log(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  const auto* opaque = static_cast<const Opaque*>(rd_kafka_opaque(client));
  if (opaque == nullptr) return;
  const Logger::Fields fields{{"facility", facility}, {"detail", text}};
  // librdkafka calls a broker that cannot be reached an error; for us it is news: the client goes
  // on trying, and what becomes of records is reported where they are.
  if (level < kLogErr) {
    opaque->logger->error("kafka_client", fields);
  } else if (level <= kLogNotice) {
    opaque->logger->warning("kafka_client", fields);
  } else {
    opaque->logger->debug("kafka_client", fields);
  }
}

/// Connects to Config::connect_through, whatever address librdkafka asks for.
int connect_through(int socket, const struct sockaddr*, int, const char*, void* opaque) {
  const std::string& target = static_cast<const Opaque*>(opaque)->connect_through;
  const std::size_t colon = target.rfind(':');
  std::uint16_t port = 0;
  std::from_chars(target.data() + colon + 1, target.data() + target.size(), port);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, target.substr(0, colon).c_str(), &address.sin_addr) != 1) return EINVAL;
  if (::connect(socket, reinterpret_cast<const struct sockaddr*>(&address), sizeof address) == 0)
    return 0;
  return errno == EINPROGRESS ? 0 : errno;
}

std::string security_protocol(const Config& config) {
  const bool has_tls = !config.tls_ca_file.empty();
  if (config.sasl_mechanism.empty()) return has_tls ? "ssl" : "plaintext";
  return has_tls ? "sasl_ssl" : "sasl_plaintext";
}

}  // namespace

Result<Conf> make_conf(const Config& config, Opaque& opaque, const Options& options) {
  Conf conf(rd_kafka_conf_new());
  rd_kafka_conf_set_opaque(conf.get(), &opaque);
  rd_kafka_conf_set_log_cb(conf.get(), write_log);
  if (!config.connect_through.empty()) {
    opaque.connect_through = config.connect_through;
    rd_kafka_conf_set_connect_cb(conf.get(), connect_through);
  }

  std::string refused;
  const auto set = [&](const char* name, const std::string& value) {
    std::array<char, 512> why{};
    if (rd_kafka_conf_set(conf.get(), name, value.c_str(), why.data(), why.size()) !=
        RD_KAFKA_CONF_OK) {
      refused += (refused.empty() ? "" : "; ") + std::string(why.data());
    }
  };

  set("bootstrap.servers", config.brokers);
  set("client.id", config.client_id);
  set("security.protocol", security_protocol(config));
  if (!config.tls_ca_file.empty()) set("ssl.ca.location", config.tls_ca_file);
  if (!config.tls_cert_file.empty()) {
    set("ssl.certificate.location", config.tls_cert_file);
    set("ssl.key.location", config.tls_key_file);
  }
  if (!config.sasl_mechanism.empty()) {
    set("sasl.mechanism", config.sasl_mechanism);
    set("sasl.username", config.sasl_username);
    set("sasl.password", config.sasl_password.reveal());
  }
  set("socket.keepalive.enable", "true");
  set("socket.nagle.disable", "true");
  set("log.connection.close", "false");     // idle connections are closed by brokers all day
  set("reconnect.backoff.max.ms", "2000");  // a broker that is back is found within this
  set("enable.metrics.push", "false");      // our metrics are scraped from us
  for (const auto& [name, value] : options) set(name, value);

  if (!refused.empty()) return fail(ErrorCode::kInvalidArgument, "kafka configuration: " + refused);
  return conf;
}

Result<Client> make_client(rd_kafka_type_t type, Conf conf) {
  std::array<char, 512> why{};
  rd_kafka_t* client = rd_kafka_new(type, conf.get(), why.data(), why.size());
  if (client == nullptr) {
    return fail(ErrorCode::kInvalidArgument, std::string("open kafka client: ") + why.data());
  }
  static_cast<void>(conf.release());  // the client owns it now
  return Client(client);
}

ErrorCode code_of(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
      return ErrorCode::kDeadlineExceeded;

    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
      return ErrorCode::kResourceExhausted;

    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
      return ErrorCode::kInvalidArgument;

    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID:
    case RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND:
      return ErrorCode::kNotFound;

    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
      return ErrorCode::kAlreadyExists;
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      return ErrorCode::kOutOfRange;

    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return ErrorCode::kPermissionDenied;

    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR__SSL:
      return ErrorCode::kUnauthenticated;

    // The group has moved on; what was asked for is decided by its next generation.
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
    case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
      return ErrorCode::kAborted;

    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
      return ErrorCode::kUnavailable;

    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__DESTROY:
      return ErrorCode::kCancelled;

    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__STATE:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
      return ErrorCode::kFailedPrecondition;

    default:
      return ErrorCode::kUnknown;
  }
}

Error error_of(rd_kafka_resp_err_t error, std::string_view what) {
  return Error(code_of(error), rd_kafka_err2str(error))
      .context(what)
      .with_reason(rd_kafka_err2name(error));
}

Error error_of(const rd_kafka_error_t& error, std::string_view what) {
  const rd_kafka_resp_err_t code = rd_kafka_error_code(&error);
  return Error(code_of(code), rd_kafka_error_string(&error))
      .context(what)
      .with_reason(rd_kafka_err2name(code));
}

std::string full_name(const Config& config, std::string_view topic) {
  std::string name = config.name_space;
  name += topic;
  return name;
}

std::string_view short_name(const Config& config, std::string_view full_topic) {
  full_topic.remove_prefix(std::min(config.name_space.size(), full_topic.size()));
  return full_topic;
}

rd_kafka_topic_partition_t* add_to(rd_kafka_topic_partition_list_t& list, const Config& config,
                                   const TopicPartition& partition) {
  return rd_kafka_topic_partition_list_add(&list, full_name(config, partition.topic).c_str(),
                                           partition.partition.value());
}

PartitionList make_list(const Config& config, std::span<const TopicPartition> partitions) {
  PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const TopicPartition& partition : partitions) add_to(*list, config, partition);
  return list;
}

Result<std::int32_t> partition_count(rd_kafka_t& client, const Config& config,
                                     std::string_view topic, std::chrono::milliseconds timeout) {
  const Topic handle(rd_kafka_topic_new(&client, full_name(config, topic).c_str(), nullptr));
  if (!handle) return fail(error_of(rd_kafka_last_error(), "describe topic"));
  const rd_kafka_metadata_t* metadata = nullptr;
  const auto error = rd_kafka_metadata(&client, 0, handle.get(), &metadata, to_ms(timeout));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail(error_of(error, "describe topic"));
  const Owned<const rd_kafka_metadata_t, rd_kafka_metadata_destroy> owner(metadata);
  if (metadata->topic_cnt != 1) return fail(ErrorCode::kNotFound, "describe topic: not found");
  const rd_kafka_metadata_topic_t& found = metadata->topics[0];
  if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) return fail(error_of(found.err, "describe topic"));
  return found.partition_cnt;
}

int to_ms(std::chrono::milliseconds time) {
  return static_cast<int>(
      std::clamp<std::int64_t>(time.count(), 0, std::numeric_limits<int>::max()));
}

}  // namespace sluice::kafka::rd
