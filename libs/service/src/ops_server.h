#pragma once

#include "ops_http.h"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/metrics/metrics.h>

namespace sluice::service {

/// The ops port: one thread that answers short requests over plain HTTP, one to a connection.
///
/// Made so that nobody can keep the probes from being answered: a request has kMaxHeadSize bytes
/// and `deadline` in all, however slowly it comes; past `max_connections` the oldest connection
/// makes room for the newest. The handler runs on the port's thread and must be quick.
///
/// Metrics: sluice_ops_requests_total{path,status}, sluice_ops_connections_dropped_total{reason}.
class OpsServer {
 public:
  struct Options {
    std::string listen;  // host:port; 0 takes a free port
    // A prober has one connection at a time, a scraper two; this leaves room for people.
    std::size_t max_connections = 64;
    std::chrono::milliseconds deadline{5'000};  // to read the request, and again to send the answer
  };
  using Handler = std::function<OpsResponse(const OpsRequest&)>;

  /// Binds and answers from then on.
  static Result<std::unique_ptr<OpsServer>> start(Options options, const Clock& clock,
                                                  Registry& registry, Handler handler);
  /// Ends the thread; connections are closed.
  ~OpsServer();

  /// Where it is bound: "127.0.0.1:41234", "[::1]:41234".
  const std::string& address() const;

 private:
  class Impl;
  explicit OpsServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Largest request line and header fields together.
inline constexpr std::size_t kMaxHeadSize = 8 * 1024;

}  // namespace sluice::service
