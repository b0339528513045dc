#pragma once

#include "adapters/front_loop.h"
#include "adapters/revoked_certificates.h"
#include "config.h"

#include <memory>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/net/tls_context.h>

namespace sluice::front {

/// Where devices come in, by the settings, and the TLS that it takes. Opened once, before the loops
/// that bind it; renew() may run beside them.
class FrontListeners {
 public:
  explicit FrontListeners(Registry& registry);

  /// Fails when no listener is configured or a certificate cannot be used.
  /// `revoked` must outlive it.
  Result<> open(const Config& config, const RevokedCertificates& revoked, const Clock& clock,
                Random& random);
  /// Loops write the ports that they were given into it.
  std::vector<ListenerPlan>& plans() { return plans_; }
  /// Takes certificates whose files have changed.
  void renew(const Logger& log);

 private:
  Registry& registry_;
  Gauge certificate_expiry_;
  std::unique_ptr<net::TlsContext> tls_;
  std::unique_ptr<net::TlsContext> psk_;
  std::vector<ListenerPlan> plans_;
};

}  // namespace sluice::front
