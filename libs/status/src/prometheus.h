#pragma once

#include "prometheus_answer.h"

#include <string>

#include <sluice/base/result.h>
#include <sluice/http/client.h>

namespace sluice::status {

/// Prometheus' query API. Blocks up to its deadline; thread-safe.
class Prometheus {
 public:
  /// `url`: http(s)://host:port, with a path where it lives below one.
  explicit Prometheus(std::string url);

  /// The body of a successful answer.
  Result<std::string> query_range(const std::string& query, const TimeGrid& grid) const;

 private:
  const std::string url_;
  const http::Client client_;
};

}  // namespace sluice::status
