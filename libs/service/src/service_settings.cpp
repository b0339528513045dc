#include "service_settings.h"

namespace sluice::service {

using namespace std::chrono_literals;

void ServiceSettings::declare(Settings& settings) {
  settings.text("log_level", &log_level, "info",
                {.required = true, .one_of = {"debug", "info", "warning", "error"}},
                "Least level of the lines that are written.");
  settings.listen_address("ops_listen", &ops_listen, "127.0.0.1:8081",
                          "Plain HTTP for probes, metrics, settings and draining.");
  settings.secret_file(
      "ops_token_file", &ops_token, false,
      "File with the token that /metrics, /config and /drain ask for. Without one they "
      "answer peers on this machine alone.");
  settings.text("address_file", &address_file, "", {},
                "File to write the bound addresses to, as JSON, once serving; empty for none.");
  // Well below the age at which an answer counts no more (CheckState::kMaxAge).
  settings.duration("readiness_period", &readiness_period, 2s, {.min = 10ms, .max = 5s},
                    "Time between two rounds of readiness checks.");
  settings.duration("drain_delay", &drain_delay, 0s, {.max = 5min},
                    "Time between not ready and the drain, for proxies and balancers to notice.");
  settings.duration(
      "shutdown_grace", &shutdown_grace, 30s, {.min = 10ms, .max = 1h},
      "Time to finish what was begun, from the end of drain_delay; then the process ends "
      "itself with status 3.");
}

}  // namespace sluice::service
