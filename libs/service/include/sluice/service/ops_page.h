#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::service {

/// An answer of the ops port.
struct OpsResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};
};

/// Something that a service shows on its ops port besides what every service does: see
/// Runtime::add_ops_page().
struct OpsPage {
  std::string path;  // "/status"; no query is ever seen
  // Whether it asks for the token as /metrics does. Only what is the same for every reader of the
  // program's source may go without.
  bool needs_token = true;
  /// Runs on the ops port's thread and keeps probes waiting: it must answer from memory.
  std::function<OpsResponse()> answer{};
};

}  // namespace sluice::service
