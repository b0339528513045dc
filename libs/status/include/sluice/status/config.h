#pragma once

#include <chrono>
#include <string>

#include <sluice/config/settings.h>

namespace sluice::status {

/// Where the status page gets its figures from.
struct Config {
  std::string prometheus_url;
  std::chrono::milliseconds scrape_interval{15'000};

  void declare(Settings& settings);
};

}  // namespace sluice::status
