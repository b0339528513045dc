#pragma once

#include "adapters/audit_record.h"
#include "adapters/query_config.h"
#include "core/attributes/attribute_limits.h"
#include "ports.h"

#include <functional>
#include <memory>
#include <string>

#include <sluice/auth/config.h>
#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/crypto/tls_identity.h>
#include <sluice/grpc/config.h>
#include <sluice/http/config.h>
#include <sluice/http/router.h>
#include <sluice/kafka/config.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/pool.h>

namespace sluice::tsdb {

/// Adds further routes: what other parts of the service answer, and tell the audit trail of.
using AddRoutes = std::function<void(http::Router&, const WriteAuditRecord&)>;

/// The HTTP side: queries and what they need to know of devices, how operators sign in, for which
/// the device registry is asked, and the trail of what they do.
class RestServer {
 public:
  struct Settings {
    const http::Config& http;
    const auth::Config& auth;
    const QueryConfig& query;
    const rpc::ClientConfig& device_registry;
    const crypto::TlsIdentity& identity;
    const kafka::Config& kafka;
    const kafka::ConsumerConfig& consumer;
    AttributeLimits attributes{};
  };
  struct Ports {
    postgres::Pool& pool;
    const RecentSamples* recent = nullptr;
    AddRoutes add_routes{};
  };

  /// Everything passed by reference must outlive it, the settings too.
  static Result<std::unique_ptr<RestServer>> open(const Settings& settings, Ports ports,
                                                  const Clock& clock, Random& random,
                                                  const Logger& log, Registry& registry);
  ~RestServer();
  RestServer(const RestServer&) = delete;
  RestServer& operator=(const RestServer&) = delete;

  /// Gives the bound address.
  Result<std::string> start();
  void begin_drain();
  void stop();

 private:
  struct Impl;
  explicit RestServer(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::tsdb
