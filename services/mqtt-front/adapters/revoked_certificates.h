#pragma once

#include <chrono>
#include <cstddef>
#include <cstring>
#include <deque>
#include <mutex>
#include <unordered_map>
#include <utility>

#include <sluice/base/clock.h>
#include <sluice/net/peer_identity.h>

namespace sluice::front {

/// Certificates that the registry has lately called revoked, for the TLS handshake: a device that
/// tries again is told so there, by the alert certificate_revoked, and costs no more than that.
/// Their authority is asked again once an entry has run out, since what was registered anew has
/// the same certificate. Bounded, the oldest first out. Thread-safe.
class RevokedCertificates {
 public:
  /// As long as an identity is believed without asking.
  static constexpr std::chrono::seconds kTtl{60};
  static constexpr std::size_t kMax = 20'000;

  explicit RevokedCertificates(const Clock& clock) : clock_(clock) {}

  void add(const net::Fingerprint& certificate);
  bool contains(const net::Fingerprint& certificate) const;

 private:
  struct Hash {
    // A SHA-256 is as good as any hash of it.
    std::size_t operator()(const net::Fingerprint& of) const {
      std::size_t hash = 0;
      std::memcpy(&hash, of.data(), sizeof hash);
      return hash;
    }
  };

  const Clock& clock_;
  mutable std::mutex mutex_;  // guards all that follows
  std::unordered_map<net::Fingerprint, MonoTime, Hash> until_;
  std::deque<std::pair<MonoTime, net::Fingerprint>> order_;
};

}  // namespace sluice::front
