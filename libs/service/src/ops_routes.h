#pragma once

#include "ops_http.h"

#include <functional>
#include <string>
#include <vector>

#include <sluice/config/settings.h>

namespace sluice::service {

/// What /readyz tells of one check.
struct CheckReport {
  std::string name;
  bool is_ready = false;
  std::string reason{};  // empty when ready
};

/// What /readyz tells.
struct ReadinessReport {
  bool is_ready = false;
  std::string state{};  // starting, serving, draining, drained, stopping
  std::vector<CheckReport> checks{};
};

/// What the ops port shows and does, as the process' life provides it. Called on the port's thread.
struct OpsActions {
  std::function<ReadinessReport()> readiness;
  std::function<bool()> is_started;
  std::function<std::string()> metrics;
  std::function<std::string()> config;
  std::function<void()> drain;
};

/// Decides what a request gets. /livez, /readyz and /startupz are open. /metrics, /config and
/// /drain ask for the token where there is one; else they serve this machine alone, and no web page
/// in a browser on it: neither by a request across sites nor by a name that was made to point here.
OpsResponse answer(const OpsRequest& request, const Secret& token, const OpsActions& actions);

/// `path` if it is one of ours, else "other": for the label of a metric.
std::string_view known_path(std::string_view path);

}  // namespace sluice::service
