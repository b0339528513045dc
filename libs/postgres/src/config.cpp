#include <sluice/postgres/config.h>

#include "conninfo.h"

#include <vector>

namespace sluice::postgres {

using namespace std::chrono_literals;

void Config::declare(Settings& settings) {
  settings.text("postgres_url", &url, "postgresql://127.0.0.1:5432/sluice", {.required = true},
                "postgresql://user@host:port/database, without a password.");
  settings.secret_file("postgres_password_file", &password, false, "File with the password.");
  settings.integer(
      "postgres_pool_size", &pool_size, 10, {.min = 1, .max = 1000},
      "Most connections of the pool; one more for each leadership that the process holds "
      "or waits for.");
  settings.duration("postgres_connect_timeout", &connect_timeout, 2s, {.min = 10ms, .max = 1min},
                    "Longest time to connect, or for a connection to show that it lives.");
  settings.duration(
      "postgres_statement_timeout", &statement_timeout, 5s, {.min = 10ms, .max = 1h},
      "Longest time for a transaction that sets no other, waiting and trying again included.");
  settings.duration("postgres_lock_timeout", &lock_timeout, 2s, {.min = 1ms, .max = 1h},
                    "Longest wait for a lock that another transaction holds.");
  settings.duration("postgres_idle_in_transaction_timeout", &idle_in_transaction_timeout, 30s,
                    {.min = 100ms, .max = 1h},
                    "The server ends a transaction whose program says nothing for this long.");
  settings.text(
      "postgres_tls_mode", &tls_mode, "prefer",
      {.required = true, .one_of = {"disable", "prefer", "require", "verify-ca", "verify-full"}},
      "libpq's sslmode; verify-full alone is safe against somebody in between.");
  settings.text("postgres_tls_ca_file", &tls_ca_file, "", {},
                "Certificate authorities to believe, PEM; empty for the system's.");
  settings.text("postgres_tls_cert_file", &tls_cert_file, "", {}, "Own certificate, PEM.");
  settings.text("postgres_tls_key_file", &tls_key_file, "", {}, "Key of the own certificate, PEM.");
  settings.rule([this] {
    std::vector<FieldFault> faults;
    if (auto checked = check_url(url); !checked) {
      faults.push_back({"postgres_url", checked.error().message()});
    }
    if (tls_cert_file.empty() != tls_key_file.empty()) {
      faults.push_back(
          {"postgres_tls_cert_file", "goes with postgres_tls_key_file: set both or neither"});
    }
    if (tls_mode == "verify-ca" && tls_ca_file.empty()) {
      faults.push_back({"postgres_tls_ca_file", "is needed by verify-ca"});
    }
    if (lock_timeout > statement_timeout) {
      faults.push_back({"postgres_lock_timeout", "must not exceed postgres_statement_timeout"});
    }
    return faults;
  });
}

}  // namespace sluice::postgres
