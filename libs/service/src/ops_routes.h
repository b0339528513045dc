#pragma once

#include "ops_http.h"

#include <functional>
#include <string>
#include <string_view>
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
  /// The page that the service itself has at a path; nullptr when there is none.
  std::function<const OpsPage*(std::string_view path)> find_page;
  /// What that page answers now.
  std::function<OpsResponse(const OpsPage&)> show_page;
};

/// Decides what a request gets. /livez, /readyz, /startupz and pages that say so are open. The rest
/// asks for the token where there is one; else it serves this machine alone, and no web page in a
/// browser on it but our own: neither by a request across sites nor by a name that was made to
/// point here.
OpsResponse answer(const OpsRequest& request, const Secret& token, const OpsActions& actions);

/// What stands for a request in the label of a metric: its path if it is one of ours, which what is
/// answered 404 is not, else "other".
std::string_view path_label(const OpsRequest& request, const OpsResponse& response);

}  // namespace sluice::service
