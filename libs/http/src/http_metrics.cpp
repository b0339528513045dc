#include "http_metrics.h"

#include <algorithm>
#include <format>

#include <sluice/base/error.h>
#include <sluice/http/problem.h>

namespace sluice::http {
namespace {

constexpr std::string_view kOther = "other";

constexpr std::array kRefusals{reason::kMalformedRequest,
                               reason::kMethodNotAllowed,
                               reason::kNotAcceptable,
                               reason::kRequestTimeout,
                               reason::kBodyTooLarge,
                               reason::kTargetTooLong,
                               reason::kUnsupportedMediaType,
                               reason::kExpectationFailed,
                               reason::kIdempotencyKeyReused,
                               reason::kPreconditionRequired,
                               reason::kHeadTooLarge,
                               reason::kVersionNotSupported,
                               std::string_view("not_found"),
                               std::string_view("invalid_argument"),
                               std::string_view("unauthenticated"),
                               std::string_view("permission_denied"),
                               std::string_view("rate_limited_address"),
                               std::string_view("rate_limited_caller"),
                               std::string_view("aborted"),
                               std::string_view("unavailable"),
                               std::string_view("overloaded"),
                               std::string_view("cancelled"),
                               kOther};

constexpr std::array kClosings{std::string_view("tls_handshake"),
                               std::string_view("head_timeout"),
                               std::string_view("idle_timeout"),
                               std::string_view("connection_limit"),
                               std::string_view("address_limit"),
                               std::string_view("descriptor_limit"),
                               std::string_view("cut")};

void count_in(std::map<std::string, Counter, std::less<>>& counters, std::string_view reason) {
  auto found = counters.find(reason);
  if (found == counters.end()) found = counters.find(kOther);
  if (found != counters.end()) found->second.add();
}

}  // namespace

HttpMetrics::RouteSeries HttpMetrics::make_series(Registry& registry, const std::string& method,
                                                  const std::string& route) {
  const auto counter = [&](int status_class) {
    return registry.counter(
        "sluice_http_requests_total", "Requests answered, by route and class of status.",
        {{"method", method}, {"route", route}, {"status", std::format("{}xx", status_class)}});
  };
  return {.by_class = {counter(2), counter(3), counter(4), counter(5)},
          .seconds = registry.histogram("sluice_http_request_duration_seconds",
                                        "From a complete request head to the answer's last byte.",
                                        latency_buckets_seconds(),
                                        {{"method", method}, {"route", route}})};
}

HttpMetrics::HttpMetrics(Registry& registry, const Router& router)
    : connections(registry.gauge("sluice_http_connections", "Connections open now.")),
      accepted(registry.counter("sluice_http_connections_accepted_total", "Connections accepted.")),
      in_flight(registry.gauge("sluice_http_requests_in_flight", "Requests being handled now.")),
      waiting(registry.gauge("sluice_http_requests_waiting", "Requests waiting for a thread now.")),
      received_bytes(
          registry.counter("sluice_http_received_bytes_total", "Bytes of request bodies.")),
      sent_bytes(registry.counter("sluice_http_sent_bytes_total", "Bytes of answers' bodies.")),
      audit_failures(registry.counter("sluice_http_audit_failures_total",
                                      "Audit entries that the sink refused by an exception.")),
      certificate_expiry(registry.gauge("sluice_http_certificate_expiry_timestamp_seconds",
                                        "When the certificate in use runs out; 0 without TLS.")),
      unmatched_(make_series(registry, "", "unmatched")),
      reload_done_(registry.counter("sluice_http_certificate_reloads_total",
                                    "Renewed certificate files taken or refused.",
                                    {{"outcome", "done"}})),
      reload_failed_(registry.counter("sluice_http_certificate_reloads_total",
                                      "Renewed certificate files taken or refused.",
                                      {{"outcome", "failed"}})) {
  for (const auto& route : router.routes()) {
    routes_.emplace(route.get(), make_series(registry, route->method, route->path));
  }
  for (const std::string_view text : kRefusals) {
    refused_.emplace(text, registry.counter("sluice_http_refused_total",
                                            "Requests that did not reach their handler.",
                                            {{"reason", std::string(text)}}));
  }
  for (const std::string_view text : kClosings) {
    closed_.emplace(text, registry.counter("sluice_http_connections_closed_total",
                                           "Connections the server ended early.",
                                           {{"reason", std::string(text)}}));
  }
}

void HttpMetrics::answered(const Route* route, int status, double seconds) {
  const auto found = routes_.find(route);
  RouteSeries& series = found == routes_.end() ? unmatched_ : found->second;
  series.by_class[static_cast<std::size_t>(std::clamp(status / 100, 2, 5) - 2)].add();
  series.seconds.observe(seconds);
}

void HttpMetrics::refused(std::string_view reason) { count_in(refused_, reason); }

void HttpMetrics::closed(std::string_view reason) { count_in(closed_, reason); }

void HttpMetrics::reloaded(bool is_ok) { (is_ok ? reload_done_ : reload_failed_).add(); }

}  // namespace sluice::http
