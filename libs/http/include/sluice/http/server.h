#pragma once

#include <memory>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/http/audit.h>
#include <sluice/http/authenticator.h>
#include <sluice/http/config.h>
#include <sluice/http/idempotency.h>
#include <sluice/http/router.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::http {

/// The ports a server calls. Null means: not there.
struct Ports {
  Authenticator* authenticator = nullptr;  // without it only open routes may be in the router
  AuditSink* audit = nullptr;
  IdempotencyStore* idempotency = nullptr;  // without it the Idempotency-Key header is refused
};

/// Answers HTTP/1.1 with the routes of a Router.
///
/// One thread watches all sockets and reads request heads without ever waiting for one peer, so
/// that idle and slow connections cost no worker; `threads` workers run handlers, one whole request
/// at a time. What a request meets, in this order: strict head check, route, rate of its IP (open
/// routes and failed authentication), authentication, rate of its principal, access, media types,
/// size, preconditions' presence, body, Idempotency-Key, handler. Each refusal is a problem
/// document and is counted by reason.
///
/// Everything passed must outlive the server.
class Server {
 public:
  Server(Config config, Router router, const Clock& clock, Random& random, Logger log,
         Registry& registry, Ports ports = {});
  ~Server();  // stops
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds, starts the threads and tells the bound address ("127.0.0.1:41234"). Fails without a
  /// certificate off loopback, with an unusable certificate, or when the address cannot be had.
  Result<std::string> start();

  /// Tells clients to go elsewhere: answers carry `Connection: close` from now on. Any thread.
  void begin_drain();

  /// Accepts no more, lets requests in hand finish for at most `drain_timeout`, then cuts what is
  /// left. Returns when no thread is in a handler. Any thread, any number of times.
  void stop();

  /// Reads the certificate files again now if they changed; the server does so by itself every few
  /// seconds. On an error the last good ones stay.
  Result<bool> reload_certificates();

  const Router& router() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::http
