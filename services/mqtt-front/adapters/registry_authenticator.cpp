#include "adapters/registry_authenticator.h"

#include <cstring>
#include <optional>
#include <utility>

#include <sluice/crypto/hash.h>
#include <sluice/device/v1/device_registry.grpc.pb.h>
#include <sluice/grpc/raw.h>

namespace sluice::front {
namespace {

using Service = device::v1::DeviceRegistryService;

// A key per question: the address is no part of who somebody is.
CredentialKey key_of(const device::v1::AuthenticateRequest& question) {
  device::v1::AuthenticateRequest asked = question;
  asked.clear_address();
  const std::string digest = crypto::sha256(asked.SerializeAsString());
  CredentialKey key;
  std::memcpy(key.data(), digest.data(), key.size());
  return key;
}

/// Of the certificate that the question is about, if it is about one.
std::optional<net::Fingerprint> fingerprint_of(const device::v1::AuthenticateRequest& question) {
  const std::string& bytes = question.certificate().fingerprint_sha256();
  net::Fingerprint out{};
  if (!question.has_certificate() || bytes.size() != out.size()) return std::nullopt;
  std::memcpy(out.data(), bytes.data(), out.size());
  return out;
}

bool is_revoked(const device::v1::AuthenticateResponse& answer) {
  return answer.has_refusal() &&
         answer.refusal().reason() == device::v1::REFUSAL_REASON_CREDENTIAL_REVOKED;
}

std::string_view name_of(int refusal) {
  switch (static_cast<device::v1::RefusalReason>(refusal)) {
    case device::v1::REFUSAL_REASON_UNKNOWN_CREDENTIAL:
      return "unknown_credential";
    case device::v1::REFUSAL_REASON_CREDENTIAL_EXPIRED:
      return "credential_expired";
    case device::v1::REFUSAL_REASON_CREDENTIAL_REVOKED:
      return "credential_revoked";
    case device::v1::REFUSAL_REASON_DEVICE_INACTIVE:
      return "device_inactive";
    case device::v1::REFUSAL_REASON_DEVICE_QUARANTINED:
      return "device_quarantined";
    case device::v1::REFUSAL_REASON_DEVICE_REVOKED:
      return "device_revoked";
    case device::v1::REFUSAL_REASON_TENANT_SUSPENDED:
      return "tenant_suspended";
    case device::v1::REFUSAL_REASON_WRONG_DEVICE:
      return "wrong_device";
    case device::v1::REFUSAL_REASON_AMBIGUOUS_TENANT:
      return "ambiguous_tenant";
    default:
      return "refused";
  }
}

Result<Authenticator::Verdict> result_of(const Verdict& verdict) {
  switch (verdict.kind) {
    case Verdict::Kind::kIdentity:
      return Authenticator::Verdict{.identity = verdict.identity, .position = verdict.position};
    case Verdict::Kind::kRefused:
      return Authenticator::Verdict{.refusal = std::string(name_of(verdict.refusal))};
    case Verdict::Kind::kUnavailable:
    case Verdict::Kind::kAskAgain:
      break;
  }
  return fail(ErrorCode::kUnavailable, "the device registry did not answer");
}

}  // namespace

class RegistryAuthenticator::State final : public std::enable_shared_from_this<State> {
 public:
  State(rpc::Channel& channel, IdentityCache& cache, RevokedCertificates& revoked,
        const IdentityOptions& identities, const Clock& clock, Registry& registry)
      : client_(channel),
        cache_(cache),
        revoked_(revoked),
        identities_(identities),
        clock_(clock),
        asked_(registry.counter("sluice_mqtt_registry_questions_total",
                                "Questions to the device registry about who connects.")),
        failed_(registry.counter("sluice_mqtt_registry_failures_total",
                                 "Questions that the device registry did not answer.")) {}

  void authenticate(device::v1::AuthenticateRequest question, const LoopPost& post,
                    Done<Authenticator::Verdict> done) {
    const CredentialKey key = key_of(question);
    IdentityCache::Waiter waiter = [post, done = std::move(done)](const Verdict& verdict) mutable {
      post([done = std::move(done), result = result_of(verdict)]() mutable {
        done(std::move(result));
      });
    };
    resolve(key, std::move(question), std::move(waiter));
  }

  bool has_changed(const Identity& identity, std::uint64_t since) const {
    return cache_.has_changed(identity, since);
  }

  void find_psk(std::string identity, std::move_only_function<void(std::optional<Secret>)> done) {
    device::v1::AuthenticateRequest question;
    question.set_psk_identity(std::move(identity));
    asked_.add();
    client_.call_async(
        &rpc::Client<Service>::Stub::Authenticate, std::move(question), {.is_idempotent = true},
        [self = shared_from_this(),
         done = std::move(done)](Result<device::v1::AuthenticateResponse> answer) mutable {
          if (!answer) self->failed_.add();
          if (!answer || answer->psk().empty() || !answer->has_identity()) {
            return done(std::nullopt);
          }
          done(Secret(answer->psk()));
        });
  }

 private:
  /// From the cache, from an answer that is under way, or from the registry. Where a change crossed
  /// that answer: from the beginning, with the change known. Whoever comes first then asks, and the
  /// others wait for it.
  void resolve(const CredentialKey& key, device::v1::AuthenticateRequest question,
               IdentityCache::Waiter done) {
    IdentityCache::Waiter waiter = [self = shared_from_this(), key, question,
                                    done = std::move(done)](const Verdict& verdict) mutable {
      if (verdict.kind == Verdict::Kind::kAskAgain) {
        return self->resolve(key, std::move(question), std::move(done));
      }
      done(verdict);
    };
    const IdentityCache::Begun begun = cache_.begin(key, now(), waiter);
    switch (begun.step) {
      case IdentityCache::Begun::Step::kWait:
        return;
      case IdentityCache::Begun::Step::kAnswered:
        return waiter(begun.verdict);
      case IdentityCache::Begun::Step::kFull:
        return waiter({.kind = Verdict::Kind::kUnavailable});
      case IdentityCache::Begun::Step::kAsk:
        return ask(key, question, std::move(waiter));
    }
  }

  void ask(const CredentialKey& key, const device::v1::AuthenticateRequest& question,
           IdentityCache::Waiter waiter) {
    asked_.add();
    client_.call_async(
        &rpc::Client<Service>::Stub::Authenticate, question, {.is_idempotent = true},
        [self = shared_from_this(), key, certificate = fingerprint_of(question),
         waiter = std::move(waiter)](Result<device::v1::AuthenticateResponse> answer) mutable {
          if (certificate && answer && is_revoked(*answer)) self->revoked_.add(*certificate);
          waiter(self->settle(key, answer));
        });
  }

  Verdict settle(const CredentialKey& key, const Result<device::v1::AuthenticateResponse>& answer) {
    if (!answer) {
      failed_.add();
      return cache_.fail(key, now());
    }
    if (answer->has_refusal()) {
      return cache_.complete_refused(key, answer->refusal().reason(), now());
    }
    auto identity = make_identity(answer->identity(), identities_);
    if (!identity) {
      failed_.add();
      return cache_.fail(key, now());
    }
    return cache_.complete(key, *std::move(identity), now());
  }

  IdentityCache::Now now() const { return {clock_.wall(), clock_.mono()}; }

  rpc::Client<Service> client_;
  IdentityCache& cache_;
  RevokedCertificates& revoked_;
  const IdentityOptions identities_;
  const Clock& clock_;
  Counter asked_;
  Counter failed_;
};

class RegistryAuthenticator::Handle final : public Authenticator {
 public:
  Handle(std::shared_ptr<State> state, LoopPost post)
      : state_(std::move(state)), post_(std::move(post)) {}
  void authenticate(device::v1::AuthenticateRequest question,
                    Done<Authenticator::Verdict> done) override {
    state_->authenticate(std::move(question), post_, std::move(done));
  }
  bool has_changed(const Identity& identity, std::uint64_t since) const override {
    return state_->has_changed(identity, since);
  }

 private:
  std::shared_ptr<State> state_;  // shared with the other loops' handles
  LoopPost post_;
};

RegistryAuthenticator::RegistryAuthenticator(rpc::Channel& channel, IdentityCache& cache,
                                             RevokedCertificates& revoked,
                                             const IdentityOptions& identities, const Clock& clock,
                                             Registry& registry)
    : state_(std::make_shared<State>(channel, cache, revoked, identities, clock, registry)) {}

RegistryAuthenticator::~RegistryAuthenticator() = default;

std::unique_ptr<Authenticator> RegistryAuthenticator::for_loop(LoopPost post) {
  return std::make_unique<Handle>(state_, std::move(post));
}

void RegistryAuthenticator::find_psk(std::string identity,
                                     std::move_only_function<void(std::optional<Secret>)> done) {
  state_->find_psk(std::move(identity), std::move(done));
}

}  // namespace sluice::front
