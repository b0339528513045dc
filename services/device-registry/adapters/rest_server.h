#pragma once

#include "adapters/databases.h"
#include "adapters/rest_api.h"
#include "ports.h"

#include <memory>
#include <string>

#include <sluice/auth/config.h>
#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/http/audit.h>
#include <sluice/http/config.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::registry {

/// The operators' side of the registry: the HTTP server with sign-in, kept answers and audit behind
/// it.
class RestServer {
 public:
  struct Ports {
    Databases& databases;
    Vault& vault;
    http::AuditSink& audit;
  };

  /// Everything passed by reference must outlive it, the configs too.
  RestServer(const http::Config& http, const auth::Config& auth, const RestParts& parts,
             const Ports& ports, const Clock& clock, Random& random, const Logger& log,
             Registry& registry);
  ~RestServer();
  RestServer(const RestServer&) = delete;
  RestServer& operator=(const RestServer&) = delete;

  /// Gives the bound address.
  Result<std::string> start();
  void begin_drain();
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::registry
