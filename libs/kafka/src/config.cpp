#include <sluice/kafka/config.h>

#include <vector>

namespace sluice::kafka {

using namespace std::chrono_literals;

void Config::declare(Settings& settings) {
  settings.text(
      "kafka_brokers", &brokers, "127.0.0.1:9092", {.required = true},
      "Brokers to begin with, host:port, separated by commas; the rest are learnt from them.");
  settings.text("kafka_namespace", &name_space, "sluice.", {.max_size = 64},
                "Put before the name of every topic and consumer group, so that several platforms "
                "can share brokers.");
  settings.text("kafka_tls_ca_file", &tls_ca_file, "", {},
                "CA certificates (PEM) that brokers are checked with. Set: TLS is used.");
  settings.text("kafka_tls_cert_file", &tls_cert_file, "", {},
                "Our certificate (PEM), where brokers ask for one.");
  settings.text("kafka_tls_key_file", &tls_key_file, "", {},
                "The key (PEM) of kafka_tls_cert_file.");
  settings.text("kafka_sasl_mechanism", &sasl_mechanism, "",
                {.one_of = {"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}},
                "How to sign in; empty: not at all, or by certificate alone.");
  settings.text("kafka_sasl_username", &sasl_username, "", {}, "User to sign in as.");
  settings.secret_file("kafka_sasl_password_file", &sasl_password, false,
                       "File that holds the password of kafka_sasl_username.");
  settings.boolean("kafka_topic_create", &topic_create, true,
                   "Whether missing topics are made; if not, they are waited for.");
  settings.integer("kafka_topic_partitions", &topic_partitions, 0, {.min = 0, .max = 10'000},
                   "Partitions of topics that are made with 12 otherwise: the most pods of one "
                   "service that can share the work. 0: 12.");
  settings.integer(
      "kafka_topic_replication", &topic_replication, 0, {.min = 0, .max = 32},
      "Copies of each record of topics that we make; one with fewer is refused. 0: the "
      "brokers' default.");
  settings.integer("kafka_topic_min_insync", &topic_min_insync, 0, {.min = 0, .max = 32},
                   "Copies that must exist before a record is acknowledged "
                   "(min.insync.replicas); a topic with fewer is refused. 0: the brokers' default, "
                   "which is 1 unless they say otherwise.");
  settings.rule([this] {
    std::vector<FieldFault> faults;
    if (tls_cert_file.empty() != tls_key_file.empty()) {
      faults.push_back({tls_cert_file.empty() ? "kafka_tls_cert_file" : "kafka_tls_key_file",
                        "a certificate and its key must be given together"});
    }
    if (!tls_cert_file.empty() && tls_ca_file.empty()) {
      faults.push_back(
          {"kafka_tls_ca_file", "is needed for TLS, which kafka_tls_cert_file asks for"});
    }
    if (!sasl_mechanism.empty() && sasl_username.empty()) {
      faults.push_back({"kafka_sasl_username", "is needed by kafka_sasl_mechanism"});
    }
    if (!sasl_mechanism.empty() && sasl_password.empty()) {
      faults.push_back({"kafka_sasl_password_file", "is needed by kafka_sasl_mechanism"});
    }
    if (topic_replication > 0 && topic_min_insync > topic_replication) {
      faults.push_back({"kafka_topic_min_insync", "must not exceed kafka_topic_replication"});
    }
    if (sasl_mechanism == "PLAIN" && tls_ca_file.empty()) {
      faults.push_back({"kafka_sasl_mechanism",
                        "PLAIN sends the password as it is and needs TLS (kafka_tls_ca_file)"});
    }
    return faults;
  });
}

void ProducerConfig::declare(Settings& settings) {
  settings.duration("kafka_producer_linger", &linger, linger, {.max = 1s},
                    "Longest wait for more records to send together.");
  settings.bytes("kafka_producer_batch", &batch, 256_KiB, {.min = 1_KiB, .max = 16_MiB},
                 "Largest batch sent at once to a partition.");
  settings.bytes("kafka_producer_max_record", &max_record, 1_MiB, {.min = 1_KiB, .max = 64_MiB},
                 "Largest record taken; the brokers' message.max.bytes must be no smaller.");
  settings.integer("kafka_producer_max_in_flight_records", &max_in_flight_records, 100'000,
                   {.min = 1, .max = 10'000'000},
                   "Records taken and not yet acknowledged, past which no more are taken.");
  settings.bytes("kafka_producer_max_in_flight", &max_in_flight, 64_MiB,
                 {.min = 1_MiB, .max = 2048_MiB}, "The same in bytes of keys, values and headers.");
  settings.duration("kafka_producer_delivery_timeout", &delivery_timeout, 30s,
                    {.min = 1s, .max = 15min},
                    "A record that is not acknowledged after this has failed.");
  settings.text("kafka_producer_compression", &compression, "lz4",
                {.one_of = {"none", "lz4", "zstd", "snappy", "gzip"}}, "Compression of batches.");
  settings.rule([this] {
    std::vector<FieldFault> faults;
    if (max_record > max_in_flight) {
      faults.push_back(
          {"kafka_producer_max_record", "must not exceed kafka_producer_max_in_flight"});
    }
    return faults;
  });
}

void ConsumerConfig::declare(Settings& settings) {
  settings.integer("kafka_consumer_max_batch_records", &max_batch_records, 1'000,
                   {.min = 1, .max = 1'000'000}, "Most records handed over at once.");
  settings.duration("kafka_consumer_fetch_wait", &fetch_wait, 100ms, {.min = 1ms, .max = 5s},
                    "Longest wait for records when there are none; records that come end it.");
  settings.duration(
      "kafka_consumer_fetch_gather", &fetch_gather, 20ms, {.max = 500ms},
      "How long a broker may gather records before it answers a group's fetch: fewer "
      "and fuller answers for as much latency. 0s: it answers as soon as it has one.");
  settings.bytes("kafka_consumer_max_prefetch", &max_prefetch, 32_MiB,
                 {.min = 1_MiB, .max = 1024_MiB},
                 "Records fetched ahead of what is being processed.");
  settings.duration("kafka_consumer_commit_interval", &commit_interval, 1s,
                    {.min = 10ms, .max = 1min},
                    "Time between commits: how much may be read again after a crash.");
  settings.duration("kafka_consumer_commit_timeout", &commit_timeout, 10s, {.min = 1s, .max = 1min},
                    "Longest wait for the commit of partitions that are given up.");
  settings.duration("kafka_consumer_session_timeout", &session_timeout, 30s,
                    {.min = 6s, .max = 5min},
                    "A member that is not heard of for this long loses its partitions.");
  settings.duration("kafka_consumer_max_poll_interval", &max_poll_interval, 5min,
                    {.min = 10s, .max = 1h},
                    "A member whose handler does not return for this long loses its partitions.");
  settings.integer(
      "kafka_consumer_poison_attempts", &poison_attempts, 5, {.min = 1, .max = 1'000},
      "Failures after which a record is treated as poison, if trying again cannot help.");
  settings.duration("kafka_consumer_retry_backoff", &retry_backoff, 50ms, {.min = 1ms, .max = 10s},
                    "First wait before a batch that failed is tried again; it doubles each time.");
  settings.duration("kafka_consumer_max_retry_backoff", &max_retry_backoff, 5s,
                    {.min = 1ms, .max = 5min}, "Longest such wait.");
  settings.duration("kafka_consumer_lag_interval", &lag_interval, 5s, {.min = 100ms, .max = 5min},
                    "Time between looks at how far behind we are.");
  settings.rule([this] {
    std::vector<FieldFault> faults;
    if (session_timeout > max_poll_interval) {
      faults.push_back(
          {"kafka_consumer_session_timeout", "must not exceed kafka_consumer_max_poll_interval"});
    }
    if (retry_backoff > max_retry_backoff) {
      faults.push_back(
          {"kafka_consumer_retry_backoff", "must not exceed kafka_consumer_max_retry_backoff"});
    }
    return faults;
  });
}

}  // namespace sluice::kafka
