#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include <sluice/auth/config.h>
#include <sluice/auth/url_fetcher.h>
#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/crypto/jwk.h>
#include <sluice/metrics/metrics.h>

namespace sluice::auth {

/// The identity provider's keys. Asked again every `oidc_jwks_refresh`, and at once when a token
/// names an unknown key, but never more often than every `oidc_jwks_min_interval`, so that made-up
/// key ids cannot make us flood the provider. While the provider is down the last good keys serve
/// until they are `oidc_jwks_max_age` old; then every token is refused. Thread-safe; one fetch at a
/// time, and nobody but its caller waits for it.
class JwksCache {
 public:
  /// What is passed must outlive the cache.
  JwksCache(const Config& config, const Clock& clock, UrlFetcher& fetcher, Registry& registry);

  /// The keys to check a token naming `kid` with, fetched first if need be. Without that kid the
  /// keys come as they are. kUnavailable with reason "jwks_unavailable" when there are none young
  /// enough.
  Result<std::shared_ptr<const crypto::JwkSet>> keys_for(std::string_view kid);

  /// The keys as they are, without fetching; null when there are none young enough.
  std::shared_ptr<const crypto::JwkSet> remembered_keys() const;

  /// Fetches when it is time to; called every second or so by a thread that may block, so that
  /// tokens seldom have to wait for a fetch. The error of a failed fetch, for the log.
  Result<> refresh_if_due();

 private:
  std::shared_ptr<const crypto::JwkSet> young_keys() const;
  Result<> refresh();
  Result<crypto::JwkSet> fetch();

  const Config& config_;
  const Clock& clock_;
  UrlFetcher& fetcher_;
  Counter fetches_ok_;
  Counter fetches_failed_;
  Gauge fetched_;

  mutable std::mutex mutex_;
  std::shared_ptr<const crypto::JwkSet> keys_;  // owned here and by checks under way
  MonoTime fetched_at_{};
  std::optional<MonoTime> tried_at_;
  bool is_fetching_ = false;
};

}  // namespace sluice::auth
