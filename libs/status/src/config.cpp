#include <sluice/status/config.h>

#include <vector>

namespace sluice::status {

void Config::declare(Settings& settings) {
  using namespace std::chrono_literals;
  settings.text("prometheus_url", &prometheus_url, "", {.max_size = 1024},
                "Prometheus that scrapes the platform, for the charts of /status on the ops port, "
                "such as http://prometheus:9090; empty for none. It is sent the page's own queries "
                "alone, without credentials.");
  settings.duration("prometheus_scrape_interval", &scrape_interval, 15s, {.min = 1s, .max = 2min},
                    "Time between two scrapes of it: the charts' step. Rates are over four.");
  settings.rule([this]() -> std::vector<FieldFault> {
    const bool is_url = prometheus_url.empty() || prometheus_url.starts_with("http://") ||
                        prometheus_url.starts_with("https://");
    // A password in a URL ends up in logs; a query or fragment would swallow the path behind it.
    const bool is_plain = prometheus_url.find_first_of("@?# ") == std::string::npos;
    if (is_url && is_plain) return {};
    return {{"prometheus_url", "must be http(s)://host:port, with a path at most"}};
  });
}

}  // namespace sluice::status
