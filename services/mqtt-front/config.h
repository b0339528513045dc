#pragma once

#include "adapters/session_store_config.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <sluice/config/settings.h>
#include <sluice/crypto/tls_identity.h>
#include <sluice/grpc/config.h>
#include <sluice/kafka/config.h>
#include <sluice/redis/config.h>

namespace sluice::front {

/// Every setting of the front, declared once. What all services have in common is the libraries'.
struct Config {
  kafka::Config kafka;
  kafka::ProducerConfig producer;
  kafka::ConsumerConfig consumer;
  redis::Config redis;
  crypto::TlsIdentity identity;
  rpc::ServerConfig grpc;
  rpc::ClientConfig device_registry;
  SessionStoreConfig sessions;

  std::string mqtt_listen;
  std::string mqtts_listen;
  std::string psk_listen;
  std::string ws_listen;
  std::string wss_listen;
  bool allows_plaintext = false;
  bool expects_proxy_header = false;
  std::string tls_cert_file;
  std::string tls_key_file;
  std::string client_ca_file;
  std::string client_certificates;
  std::string ticket_key_file;
  std::string tenant_uri_prefix;
  std::string web_socket_path;
  std::vector<std::string> web_socket_origins;
  std::string grpc_advertise;

  std::int64_t loops = 0;
  std::chrono::milliseconds loop_nap{1};
  std::chrono::milliseconds connect_timeout{0};
  Bytes max_packet{};
  std::int64_t receive_maximum = 0;
  std::int64_t send_maximum = 0;
  std::int64_t topic_alias_maximum = 0;
  std::chrono::milliseconds max_keep_alive{0};
  std::chrono::milliseconds max_session_expiry{0};
  std::int64_t max_subscriptions = 0;
  std::int64_t max_filters = 0;
  Bytes max_output{};

  std::int64_t max_connections = 0;
  std::int64_t connections_per_second = 0;
  std::int64_t handshakes_at_once = 0;
  std::int64_t connects_per_client = 0;
  std::int64_t flapping_disconnects = 0;
  std::int64_t tenant_messages_per_second = 0;
  std::int64_t tenant_connections_per_second = 0;
  std::int64_t device_messages_per_second = 0;
  Bytes device_bytes_per_second{};
  Bytes max_payload{};

  std::chrono::milliseconds identity_stale_max{0};
  std::int64_t identity_cache_size = 0;
  std::int64_t drain_per_second = 0;
  std::string server_reference;
  std::string region;
  bool is_conformance_profile = false;

  void declare(Settings& settings);
};

}  // namespace sluice::front
