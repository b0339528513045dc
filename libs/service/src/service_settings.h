#pragma once

#include <chrono>
#include <string>

#include <sluice/config/settings.h>

namespace sluice::service {

/// The settings that every service has.
struct ServiceSettings {
  std::string log_level;
  std::string ops_listen;
  Secret ops_token;
  std::string address_file;
  std::chrono::milliseconds readiness_period{0};
  std::chrono::milliseconds drain_delay{0};
  std::chrono::milliseconds shutdown_grace{0};

  void declare(Settings& settings);
};

}  // namespace sluice::service
