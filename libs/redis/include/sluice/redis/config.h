#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <sluice/config/settings.h>

namespace sluice::redis {

/// How to reach Redis: one server, or a Cluster of which some nodes are known.
struct Config {
  std::string url;
  std::string mode;  // "single" or "cluster"
  Secret password;
  std::string tls_ca_file;
  std::string tls_cert_file;
  std::string tls_key_file;
  std::chrono::milliseconds command_timeout{0};
  std::chrono::milliseconds gather{0};
  std::int64_t max_pending = 0;

  void declare(Settings& settings);
};

}  // namespace sluice::redis
