#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <sluice/base/result.h>
#include <sluice/config/settings.h>

namespace sluice::kafka {

/// Where Kafka is and who we are to it: what every client of one process shares.
///
/// TLS is used when `tls_ca_file` is set, SASL when `sasl_mechanism` is. declare() also declares
/// the rules between them: a client certificate comes with its key and a CA, SASL with a user and a
/// password, and PLAIN, which sends the password as it is, only over TLS.
struct Config {
  std::string brokers{};
  std::string name_space{};
  std::string tls_ca_file{};
  std::string tls_cert_file{};
  std::string tls_key_file{};
  std::string sasl_mechanism{};
  std::string sasl_username{};
  Secret sasl_password{};
  /// How topics are made, see as_configured(); 0 leaves it as it is.
  bool topic_create = true;
  std::int64_t topic_partitions = 0;
  std::int64_t topic_replication = 0;
  std::int64_t topic_min_insync = 0;

  /// Shown in the brokers' logs, quotas and metrics: the service's name. Not a setting.
  std::string client_id = "sluice";
  /// Numeric IPv4 host:port that all connections go to instead of the addresses that brokers give
  /// of themselves: a proxy or a tunnel before a single broker, as in tests. Not a setting.
  std::string connect_through{};

  void declare(Settings& settings);
};

/// How a producer batches and how much it may hold.
struct ProducerConfig {
  std::chrono::milliseconds linger{5};
  Bytes batch{256_KiB};
  Bytes max_record{1_MiB};
  std::int64_t max_in_flight_records = 100'000;
  Bytes max_in_flight{64_MiB};
  std::chrono::milliseconds delivery_timeout{30'000};
  std::string compression = "lz4";

  void declare(Settings& settings);
};

/// How a consumer fetches and commits.
struct ConsumerConfig {
  std::int64_t max_batch_records = 1'000;
  std::chrono::milliseconds fetch_wait{100};
  std::chrono::milliseconds fetch_gather{20};
  Bytes max_prefetch{32_MiB};
  std::chrono::milliseconds commit_interval{1'000};
  std::chrono::milliseconds commit_timeout{10'000};
  std::chrono::milliseconds session_timeout{30'000};
  std::chrono::milliseconds max_poll_interval{300'000};
  std::int64_t poison_attempts = 5;
  std::chrono::milliseconds retry_backoff{50};
  std::chrono::milliseconds max_retry_backoff{5'000};
  std::chrono::milliseconds lag_interval{5'000};

  void declare(Settings& settings);
};

}  // namespace sluice::kafka
