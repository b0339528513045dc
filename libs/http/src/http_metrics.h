#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include <sluice/http/router.h>
#include <sluice/metrics/metrics.h>

namespace sluice::http {

/// What a server counts. Thread-safe; the series are made once, so that counting takes no lock.
/// Servers that share a registry share the series that have no route.
class HttpMetrics {
 public:
  HttpMetrics(Registry& registry, const Router& router);

  /// `route` may be null: nothing matched.
  void answered(const Route* route, int status, double seconds);
  /// A request that did not reach its handler. Reasons that are not in the table count as "other".
  void refused(std::string_view reason);
  /// A connection that ended other than by the peer's or our own plan.
  void closed(std::string_view reason);
  void reloaded(bool is_ok);

  Gauge connections;
  Counter accepted;
  Gauge in_flight;
  Gauge waiting;
  Counter received_bytes;
  Counter sent_bytes;
  Counter audit_failures;
  Gauge certificate_expiry;

 private:
  struct RouteSeries {
    std::array<Counter, 4> by_class;  // 2xx to 5xx
    Histogram seconds;
  };
  static RouteSeries make_series(Registry& registry, const std::string& method,
                                 const std::string& route);

  std::unordered_map<const Route*, RouteSeries> routes_;
  RouteSeries unmatched_;
  std::map<std::string, Counter, std::less<>> refused_;
  std::map<std::string, Counter, std::less<>> closed_;
  Counter reload_done_;
  Counter reload_failed_;
};

}  // namespace sluice::http
