#pragma once

#include "exchange.h"
#include "tls_context.h"

#include <mutex>
#include <string>

#include <sluice/base/result.h>

namespace sluice::http {

/// Has a server's renewed certificate taken, and tells of it in log and metrics. Thread-safe.
class CertificateRenewal {
 public:
  /// `tls` may be null: then there is nothing to renew. Both must outlive it.
  CertificateRenewal(Core& core, ServerTls* tls);

  /// True when new files were taken.
  Result<bool> reload();

 private:
  void show_expiry();

  Core& core_;
  ServerTls* const tls_;
  std::mutex mutex_;
  std::string last_error_;
};

}  // namespace sluice::http
