#include "adapters/revoked_certificates.h"

namespace sluice::front {

void RevokedCertificates::add(const net::Fingerprint& certificate) {
  const MonoTime now = clock_.mono();
  const std::lock_guard lock(mutex_);
  until_.insert_or_assign(certificate, now + kTtl);
  order_.emplace_back(now + kTtl, certificate);
  while (order_.size() > kMax || order_.front().first <= now) {
    const auto [until, oldest] = order_.front();
    order_.pop_front();
    // Not one that was added again since.
    const auto found = until_.find(oldest);
    if (found != until_.end() && found->second == until) until_.erase(found);
  }
}

bool RevokedCertificates::contains(const net::Fingerprint& certificate) const {
  const MonoTime now = clock_.mono();
  const std::lock_guard lock(mutex_);
  const auto found = until_.find(certificate);
  return found != until_.end() && now < found->second;
}

}  // namespace sluice::front
