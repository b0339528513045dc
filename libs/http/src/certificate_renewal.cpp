#include "certificate_renewal.h"

#include <chrono>

namespace sluice::http {

CertificateRenewal::CertificateRenewal(Core& core, ServerTls* tls) : core_(core), tls_(tls) {
  if (tls_ != nullptr) show_expiry();
}

void CertificateRenewal::show_expiry() {
  core_.metrics.certificate_expiry.set(
      std::chrono::duration<double>(tls_->expires().time_since_epoch()).count());
}

Result<bool> CertificateRenewal::reload() {
  if (tls_ == nullptr) return false;
  std::lock_guard lock(mutex_);
  auto reloaded = tls_->reload_if_changed();
  if (!reloaded) {
    core_.metrics.reloaded(false);
    // Tried again every few seconds; told once.
    if (last_error_ != reloaded.error().message()) {
      last_error_ = reloaded.error().message();
      core_.log.error("http_certificate_reload_failed", reloaded.error());
    }
  } else if (*reloaded) {
    last_error_.clear();
    core_.metrics.reloaded(true);
    show_expiry();
    core_.log.info("http_certificate_reloaded", {{"expires", format_rfc3339(tls_->expires())}});
  }
  return reloaded;
}

}  // namespace sluice::http
