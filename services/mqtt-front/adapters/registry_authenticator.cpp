#include "adapters/registry_authenticator.h"

#include "core/question_batches.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include <sluice/base/utf8.h>
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

/// Whether it can be said in protobuf, whose texts are UTF-8. A password is any bytes, and a
/// registry that cannot read one question reads none of those that came with it.
bool can_be_asked(const device::v1::AuthenticateRequest& question) {
  const device::v1::CertificateCredential& certificate = question.certificate();
  const std::array texts{
      &question.token(),          &question.jwt(),       &question.psk_identity(),
      &question.claimed_device(), &question.address(),   &certificate.common_name(),
      &certificate.tenant_hint(), &certificate.serial(), &certificate.issuer()};
  return std::ranges::all_of(texts, [](const std::string* text) { return is_valid_utf8(*text); });
}

/// An answer to one of several questions.
QuestionBatches::Answer answer_of(device::v1::AuthenticateAnswer& answer) {
  if (answer.has_response()) return std::move(*answer.mutable_response());
  const int code = answer.failure().code();
  return fail(code >= 1 && code <= 16 ? static_cast<ErrorCode>(code) : ErrorCode::kUnknown,
              answer.failure().message());
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
        batches_({}, clock, [this](QuestionBatches::Call call) { make(std::move(call)); }),
        asked_(registry.counter("sluice_mqtt_registry_questions_total",
                                "Questions to the device registry about who connects.")),
        failed_(registry.counter("sluice_mqtt_registry_failures_total",
                                 "Questions that the device registry did not answer.")) {}

  void authenticate(device::v1::AuthenticateRequest question, const LoopPost& post,
                    Done<Authenticator::Verdict> done) {
    IdentityCache::Waiter waiter = [post, done = std::move(done)](const Verdict& verdict) mutable {
      post([done = std::move(done), result = result_of(verdict)]() mutable {
        done(std::move(result));
      });
    };
    if (!can_be_asked(question)) {
      return waiter({.kind = Verdict::Kind::kRefused,
                     .refusal = device::v1::REFUSAL_REASON_UNKNOWN_CREDENTIAL});
    }
    const CredentialKey key = key_of(question);
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
    asked_.add();
    const MonoTime deadline =
        clock_.mono() + (begun.is_known ? patience_.known : patience_.unknown);
    batches_.ask(
        std::move(question), deadline,
        [self = shared_from_this(),
         connect = Connect{.key = key, .waiter = std::move(waiter), .deadline = deadline}](
            QuestionBatches::Question asked, const QuestionBatches::Answer& answer) mutable {
          self->on_answer(std::move(connect), std::move(asked), answer);
        });
  }

  bool has_changed(const Identity& identity, std::uint64_t since) const {
    return cache_.has_changed(identity, since);
  }

  void find_psk(std::string identity, std::move_only_function<void(std::optional<Secret>)> done) {
    QuestionBatches::Question question;
    question.set_psk_identity(std::move(identity));
    if (!can_be_asked(question)) return done(nobodys_key());
    asked_.add();
    batches_.ask(
        std::move(question), clock_.mono() + patience_.unknown,
        [self = shared_from_this(), done = std::move(done)](
            const QuestionBatches::Question&, const QuestionBatches::Answer& answer) mutable {
          if (!answer) self->failed_.add();
          const bool is_known = answer && !answer->psk().empty() && answer->has_identity();
          done(is_known ? Secret(answer->psk()) : self->nobodys_key());
        });
  }

  void tick() { batches_.tick(); }

 private:
  /// A question about who connects, without what it asks.
  struct Connect {
    CredentialKey key{};
    IdentityCache::Waiter waiter;
    MonoTime deadline{};
    int times_behind = 0;
  };

  void make(QuestionBatches::Call call) {
    const rpc::CallOptions options{.timeout = call.timeout, .is_idempotent = true};
    if (call.questions.size() == 1) {
      client_.call_async(&rpc::Client<Service>::Stub::Authenticate,
                         std::move(call.questions.front()), options,
                         [self = shared_from_this(), id = call.id](QuestionBatches::Answer answer) {
                           std::vector<QuestionBatches::Answer> one;
                           one.push_back(std::move(answer));
                           self->batches_.answered(id, std::move(one));
                         });
      return;
    }
    device::v1::AuthenticateManyRequest request;
    for (QuestionBatches::Question& question : call.questions) {
      *request.add_questions() = std::move(question);
    }
    client_.call_async(&rpc::Client<Service>::Stub::AuthenticateMany, std::move(request), options,
                       [self = shared_from_this(),
                        id = call.id](Result<device::v1::AuthenticateManyResponse> answers) {
                         if (!answers) return self->batches_.answered(id, fail(answers.error()));
                         std::vector<QuestionBatches::Answer> each;
                         each.reserve(static_cast<std::size_t>(answers->answers_size()));
                         for (auto& answer : *answers->mutable_answers())
                           each.push_back(answer_of(answer));
                         self->batches_.answered(id, std::move(each));
                       });
  }

  /// By itself, as it is to wait first.
  void ask_again(Connect connect, QuestionBatches::Question question,
                 std::chrono::milliseconds pause) {
    asked_.add();
    const auto timeout =
        std::chrono::ceil<std::chrono::milliseconds>(connect.deadline - clock_.mono());
    // A copy, as the question goes with the callback.
    QuestionBatches::Question copy = question;
    client_.call_async(&rpc::Client<Service>::Stub::Authenticate, std::move(copy),
                       {.timeout = timeout, .delay = pause, .is_idempotent = true},
                       [self = shared_from_this(), connect = std::move(connect),
                        question = std::move(question)](QuestionBatches::Answer answer) mutable {
                         self->on_answer(std::move(connect), std::move(question), answer);
                       });
  }

  void on_answer(Connect connect, QuestionBatches::Question question,
                 const QuestionBatches::Answer& answer) {
    const auto certificate = fingerprint_of(question);
    if (certificate && answer && is_revoked(*answer)) revoked_.add(*certificate);
    Verdict verdict = settle(connect.key, answer);
    if (verdict.kind == Verdict::Kind::kAskAgain) {
      // Only so often: a registry restored from a backup is behind for good.
      const auto pause = patience_.behind * (1 << connect.times_behind);
      if (connect.times_behind++ < kTimesBehind && clock_.mono() + pause < connect.deadline) {
        return ask_again(std::move(connect), std::move(question), pause);
      }
      failed_.add();
      verdict = cache_.fail(connect.key, now());
    }
    connect.waiter(verdict);
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
  QuestionBatches batches_;
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

void RegistryAuthenticator::tick() { state_->tick(); }

}  // namespace sluice::front
