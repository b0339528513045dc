#pragma once

#include "ports.h"

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/device/v1/device_registry.pb.h>

namespace sluice::registry {

struct Presented;

/// The service that asks, as its certificate proves it.
struct Asker {
  std::string service{};      // empty on a plaintext loopback connection
  std::string traceparent{};  // W3C
  /// When it stops waiting. Nothing of the store is used for it any longer than that.
  MonoTime deadline = MonoTime::max();
};

struct DoorConfig {
  /// Longest time in the store for one question; less where the asker's deadline is nearer.
  std::chrono::milliseconds timeout{2'000};
  /// How long a front may use an answer without asking again.
  std::chrono::seconds cache_ttl{3600};
  /// The same for an operator's key. Short: nothing tells the other services of a key's revocation.
  std::chrono::seconds operator_cache_ttl{30};
  /// Of the answers to questions that are asked together; the one that goes beyond is the last.
  std::size_t max_answers_bytes = std::size_t{2} << 20U;  // half of grpc_max_message as shipped
  /// Of judging questions that are asked together, in the same way: a signature costs a hundred
  /// times what a token does, and one device may have many keys to try.
  std::chrono::milliseconds max_judging{50};
};

/// Questions that may be asked together: enough for a call's own cost to be small beside theirs,
/// and few enough for a worker to be done with them in some milliseconds, but for signatures.
inline constexpr int kMaxQuestions = 64;

/// Decides who may come in: devices by their credentials, operators by their API keys.
///
/// A refusal is an answer and goes to the audit trail; an error means that it could not be found
/// out (kUnavailable and the like). Nothing here tells a caller why beyond RefusalReason, and no
/// answer depends on a secret's correct prefix. One statement a call. kDeadlineExceeded where
/// the asker waits no longer. Thread-safe.
class Door {
 public:
  Door(Store& store, const Vault& vault, AuditTrail& audit, const Clock& clock, Random& random,
       DoorConfig config = {});

  /// kInvalidArgument when no credential was sent, or one with missing parts.
  Result<device::v1::AuthenticateResponse> authenticate(
      const device::v1::AuthenticateRequest& request, const Asker& asker);
  /// Each question as authenticate() answers it, with its own refusal or failure, in their order;
  /// as many as fit and as there is time for, at least one. An error where the store cannot say,
  /// which is so for all of them, or there are none or too many.
  Result<device::v1::AuthenticateManyResponse> authenticate_many(
      const device::v1::AuthenticateManyRequest& request, const Asker& asker);
  /// kInvalidArgument for ids that cannot be ids. An unknown device is a Refusal (unknown
  /// credential).
  Result<device::v1::LookupResponse> lookup(const device::v1::LookupRequest& request,
                                            const Asker& asker);

  Result<device::v1::VerifyOperatorKeyResponse> verify_operator_key(
      const device::v1::VerifyOperatorKeyRequest& request, const Asker& asker);

 private:
  /// For reading within the time that is left; an error where there is none.
  Result<Store::RunOptions> read_options(const Asker& asker) const;
  /// What each search finds; the store is not asked where none can find anything.
  Result<std::vector<std::vector<CredentialRecord>>> find(
      std::span<const CredentialSearch> searches, const Asker& asker);
  /// Answers a question whose candidates have been found.
  Result<device::v1::AuthenticateResponse> judge(const device::v1::AuthenticateRequest& request,
                                                 const Presented& presented,
                                                 const std::vector<CredentialRecord>& candidates,
                                                 const Asker& asker);

  Store& store_;
  const Vault& vault_;
  AuditTrail& audit_;
  const Clock& clock_;
  Random& random_;
  const DoorConfig config_;
};

}  // namespace sluice::registry
