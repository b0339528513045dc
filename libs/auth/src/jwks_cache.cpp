#include <sluice/auth/jwks_cache.h>

#include <string>
#include <utility>

namespace sluice::auth {
namespace {

// JwkSet takes no more either; real sets have a few KiB.
constexpr std::size_t kMaxAnswerSize = 256 * 1024;

Counter fetches(Registry& registry, std::string_view outcome) {
  return registry.counter("sluice_auth_jwks_fetches_total",
                          "Fetches of the identity provider's keys.",
                          {{"outcome", std::string(outcome)}});
}

}  // namespace

JwksCache::JwksCache(const Config& config, const Clock& clock, UrlFetcher& fetcher,
                     Registry& registry)
    : config_(config),
      clock_(clock),
      fetcher_(fetcher),
      fetches_ok_(fetches(registry, "ok")),
      fetches_failed_(fetches(registry, "failed")),
      fetched_(registry.gauge("sluice_auth_jwks_fetched_timestamp_seconds",
                              "When the provider's keys were last fetched, Unix time.")) {}

Result<std::shared_ptr<const crypto::JwkSet>> JwksCache::keys_for(std::string_view kid) {
  auto keys = young_keys();
  if (keys && keys->find(kid) != nullptr) return keys;
  // Its error is the refresher's to log; what counts here is whether there are keys.
  (void)refresh();
  keys = young_keys();
  if (keys) return keys;
  return fail(Error(ErrorCode::kUnavailable, "the identity provider's keys are not to be had")
                  .with_reason("jwks_unavailable"));
}

std::shared_ptr<const crypto::JwkSet> JwksCache::remembered_keys() const { return young_keys(); }

Result<> JwksCache::refresh_if_due() {
  {
    std::lock_guard lock(mutex_);
    if (keys_ && clock_.mono() - fetched_at_ < config_.oidc_jwks_refresh) return {};
  }
  return refresh();
}

std::shared_ptr<const crypto::JwkSet> JwksCache::young_keys() const {
  std::lock_guard lock(mutex_);
  if (!keys_ || clock_.mono() - fetched_at_ >= config_.oidc_jwks_max_age) return nullptr;
  return keys_;
}

Result<> JwksCache::refresh() {
  const MonoTime now = clock_.mono();
  {
    std::lock_guard lock(mutex_);
    const bool is_too_soon = tried_at_ && now - *tried_at_ < config_.oidc_jwks_min_interval;
    if (is_fetching_ || is_too_soon) return {};
    is_fetching_ = true;
    tried_at_ = now;
  }
  auto fetched = fetch();
  std::lock_guard lock(mutex_);
  is_fetching_ = false;
  if (!fetched) {
    fetches_failed_.add();
    return fail(std::move(fetched).error().context("fetch " + config_.oidc_jwks_url));
  }
  fetches_ok_.add();
  fetched_.set(std::chrono::duration<double>(clock_.wall().time_since_epoch()).count());
  keys_ = std::make_shared<const crypto::JwkSet>(*std::move(fetched));
  // When it was asked for, not when it came: a slow answer is an old one.
  fetched_at_ = now;
  return {};
}

Result<crypto::JwkSet> JwksCache::fetch() {
  const UrlFetcher::Limits limits{.timeout = config_.oidc_jwks_timeout,
                                  .max_bytes = kMaxAnswerSize};
  SLUICE_TRY_ASSIGN(const auto body, fetcher_.get(config_.oidc_jwks_url, limits));
  return crypto::JwkSet::parse(body);
}

}  // namespace sluice::auth
