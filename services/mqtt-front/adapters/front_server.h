#pragma once

#include "adapters/front_loop.h"
#include "config.h"
#include "core/identity_cache.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// What every loop shares, and the loops. Made before the services around it that refer to loops
/// (gRPC, control tables), started after them.
class FrontServer {
 public:
  static Result<std::unique_ptr<FrontServer>> open(const Config& config, const Clock& clock,
                                                   Random& random, const Logger& log,
                                                   Registry& registry);
  ~FrontServer();
  FrontServer(const FrontServer&) = delete;
  FrontServer& operator=(const FrontServer&) = delete;

  /// Binds the listeners and starts the loops; `grpc_address` is where other fronts reach this one.
  Result<> start(const std::string& grpc_address);
  /// Listener by name and the address it is bound to.
  std::vector<std::pair<std::string, std::string>> addresses() const;

  std::vector<FrontLoop*> loops() const;
  IdentityCache& identities();
  const ingest::TopicMap& topics() const;

  /// Sessions can be claimed and acknowledged; for readiness.
  bool is_ready() const;
  /// Takes no more connections, sends those there are elsewhere, some a second, and returns when
  /// none is left. On the thread that drains the service.
  void drain();
  /// Ends every connection and returns when all threads have ended.
  void stop();

 private:
  class Impl;
  explicit FrontServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::front
