#include "adapters/registry_authenticator.h"

#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include <sluice/crypto/hash.h>
#include <sluice/device/v1/device_registry.grpc.pb.h>
#include <sluice/grpc/raw.h>

namespace sluice::front {
namespace {

using Service = device::v1::DeviceRegistryService;

constexpr int kTimesBehind = 2;  // that it is asked again, see Patience::behind

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
  State(const Patience& patience, rpc::Channel& channel, IdentityCache& cache,
        RevokedCertificates& revoked, const IdentityOptions& identities, const Clock& clock,
        Random& random, Registry& registry)
      : patience_(patience),
        client_(channel),
        cache_(cache),
        revoked_(revoked),
        identities_(identities),
        clock_(clock),
        random_(random),
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
    const IdentityCache::Begun begun = cache_.begin(key, now(), waiter);
    switch (begun.step) {
      case IdentityCache::Begun::Step::kWait:
        return;
      case IdentityCache::Begun::Step::kAnswered:
        return waiter(begun.verdict);
      case IdentityCache::Begun::Step::kFull:
        return waiter({.kind = Verdict::Kind::kUnavailable});
      case IdentityCache::Begun::Step::kAsk:
        break;
    }
    ask({.key = key,
         .request = std::move(question),
         .waiter = std::move(waiter),
         .deadline = clock_.mono() + (begun.is_known ? patience_.known : patience_.unknown)});
  }

  bool has_changed(const Identity& identity, std::uint64_t since) const {
    return cache_.has_changed(identity, since);
  }

  void find_psk(std::string identity, std::move_only_function<void(std::optional<Secret>)> done) {
    device::v1::AuthenticateRequest question;
    question.set_psk_identity(std::move(identity));
    asked_.add();
    client_.call_async(&rpc::Client<Service>::Stub::Authenticate, std::move(question),
                       {.timeout = patience_.unknown, .is_idempotent = true},
                       [self = shared_from_this(), done = std::move(done)](
                           Result<device::v1::AuthenticateResponse> answer) mutable {
                         if (!answer) self->failed_.add();
                         const bool is_known =
                             answer && !answer->psk().empty() && answer->has_identity();
                         done(is_known ? Secret(answer->psk()) : self->nobodys_key());
                       });
  }

 private:
  struct Question {
    CredentialKey key{};
    device::v1::AuthenticateRequest request;
    IdentityCache::Waiter waiter;
    MonoTime deadline{};
    int times_behind = 0;
  };

  void ask(Question question, std::chrono::milliseconds pause = {}) {
    asked_.add();
    const auto timeout =
        std::chrono::ceil<std::chrono::milliseconds>(question.deadline - clock_.mono());
    // A copy, as the question goes with the callback.
    device::v1::AuthenticateRequest request = question.request;
    client_.call_async(&rpc::Client<Service>::Stub::Authenticate, std::move(request),
                       {.timeout = timeout, .delay = pause, .is_idempotent = true},
                       [self = shared_from_this(), question = std::move(question)](
                           Result<device::v1::AuthenticateResponse> answer) mutable {
                         self->on_answer(std::move(question), answer);
                       });
  }

  void on_answer(Question question, const Result<device::v1::AuthenticateResponse>& answer) {
    const auto certificate = fingerprint_of(question.request);
    if (certificate && answer && is_revoked(*answer)) revoked_.add(*certificate);
    Verdict verdict = settle(question.key, answer);
    if (verdict.kind == Verdict::Kind::kAskAgain) {
      // Only so often: a registry restored from a backup is behind for good.
      const auto pause = patience_.behind * (1 << question.times_behind);
      if (question.times_behind++ < kTimesBehind && clock_.mono() + pause < question.deadline) {
        return ask(std::move(question), pause);
      }
      failed_.add();
      verdict = cache_.fail(question.key, now());
    }
    question.waiter(verdict);
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
      return cache_.complete_unusable(key);
    }
    return cache_.complete(key, *std::move(identity), now());
  }

  Secret nobodys_key() {
    std::array<std::byte, 32> bytes{};
    random_.fill(bytes);
    return Secret(std::string(reinterpret_cast<const char*>(bytes.data()),  // bytes as bytes
                              bytes.size()));
  }

  IdentityCache::Now now() const { return {clock_.wall(), clock_.mono()}; }

  const Patience patience_;
  rpc::Client<Service> client_;
  IdentityCache& cache_;
  RevokedCertificates& revoked_;
  const IdentityOptions identities_;
  const Clock& clock_;
  Random& random_;
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

RegistryAuthenticator::RegistryAuthenticator(const Patience& patience, rpc::Channel& channel,
                                             IdentityCache& cache, RevokedCertificates& revoked,
                                             const IdentityOptions& identities, const Clock& clock,
                                             Random& random, Registry& registry)
    : state_(std::make_shared<State>(patience, channel, cache, revoked, identities, clock, random,
                                     registry)) {}

RegistryAuthenticator::~RegistryAuthenticator() = default;

std::unique_ptr<Authenticator> RegistryAuthenticator::for_loop(LoopPost post) {
  return std::make_unique<Handle>(state_, std::move(post));
}

void RegistryAuthenticator::find_psk(std::string identity,
                                     std::move_only_function<void(std::optional<Secret>)> done) {
  state_->find_psk(std::move(identity), std::move(done));
}

}  // namespace sluice::front
