#pragma once

#include "connection.h"
#include "head.h"
#include "http_metrics.h"
#include "rate_limiter.h"
#include "socket_body.h"

#include <atomic>
#include <optional>
#include <string_view>

#include <sluice/http/server.h>

namespace sluice::http {

/// What all requests of a server share. Lives as long as the server.
struct Core {
  Core(Config given_config, Router given_router, const Clock& given_clock, Random& given_random,
       Logger given_log, Registry& registry, Ports given_ports)
      : config(std::move(given_config)),
        router(std::move(given_router)),
        clock(given_clock),
        random(given_random),
        log(std::move(given_log)),
        ports(given_ports),
        metrics(registry, router),
        address_rate(config.anonymous_rate_per_second, config.anonymous_rate_burst, clock),
        caller_rate(config.rate_per_second, config.rate_burst, clock) {}

  const Config config;
  const Router router;
  const Clock& clock;
  Random& random;
  const Logger log;
  const Ports ports;
  HttpMetrics metrics;
  RateLimiter address_rate;
  RateLimiter caller_rate;
  std::atomic<bool> is_draining = false;
};

/// One request from its complete head to its answer. Belongs to the worker that runs it.
class Exchange {
 public:
  Exchange(Core& core, Connection& connection);

  /// Takes the head off the front of the connection's buffer, answers, and says what comes next.
  Ending run();

 private:
  Result<Response> answer(std::string_view head_text);
  /// Reads head and target; false when the answer is already there (`early_`).
  Result<bool> read_head(std::string_view head_text);
  Result<bool> find_route();
  Result<> admit();
  Result<> authenticate();
  Result<> take_address_token();

  Result<Response> handle();
  Result<> check_media();
  Result<> check_size_and_preconditions();
  Result<> read_switches();
  Result<> read_body();
  Result<Response> run_once();
  Result<Response> run_with_key();
  Result<Response> call_handler();

  void audit(int status, const Error* error);
  Ending send(Response response);
  void account(int status, const Error* error);
  std::uint64_t max_size() const;

  Core& core_;
  Connection& connection_;
  const MonoTime begun_;
  Request request_;
  RequestHead head_;
  const Route* route_ = nullptr;
  std::optional<SocketBody> body_;
  std::optional<Response> early_;
  Headers problem_headers_;
  std::optional<std::chrono::seconds> retry_after_;
  std::string_view refusal_;  // the metric's reason, where the error has none
  bool is_authorized_ = false;
  bool was_refused_ = false;  // by authentication or authorisation
  bool is_handler_reached_ = false;
  bool is_replay_ = false;
  bool must_close_ = false;
  std::uint64_t sent_bytes_ = 0;
};

}  // namespace sluice::http
