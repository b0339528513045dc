#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <sluice/config/settings.h>

namespace sluice::postgres {

/// How to reach PostgreSQL and how long to wait for it.
struct Config {
  std::string url;  // postgresql://user@host:port/database, never with a password
  Secret password;
  std::int64_t pool_size = 0;
  std::chrono::milliseconds connect_timeout{0};
  std::chrono::milliseconds statement_timeout{0};
  std::chrono::milliseconds lock_timeout{0};
  std::chrono::milliseconds idle_in_transaction_timeout{0};
  std::string tls_mode;
  std::string tls_ca_file;
  std::string tls_cert_file;
  std::string tls_key_file;

  /// Declares postgres_url, postgres_password_file, postgres_pool_size and so on.
  void declare(Settings& settings);
};

}  // namespace sluice::postgres
