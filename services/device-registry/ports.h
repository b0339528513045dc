#pragma once

#include "core/presence.h"
#include "core/query.h"
#include "core/resource.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/ids.h>
#include <sluice/base/result.h>
#include <sluice/common/v1/audit_record.pb.h>

/// What the core needs from the outside world. Adapters implement these; tests have fakes of them.
namespace sluice::registry {

/// Whose rows a transaction can see. Row security in PostgreSQL is told the same, so that a query
/// which forgets its tenant finds nothing instead of everything.
class Scope {
 public:
  static Scope of(TenantId tenant) { return Scope(std::move(tenant)); }
  /// Every tenant's rows. For what happens before a tenant is known (proving a credential) or
  /// belongs to none (managing tenants), and for nothing else: each use is one to be argued for.
  static Scope all_tenants() { return Scope(TenantId("*")); }

  /// "*" cannot be a tenant's id: check_id() refuses it.
  const TenantId& tenant() const { return tenant_; }

 private:
  explicit Scope(TenantId tenant) : tenant_(std::move(tenant)) {}
  TenantId tenant_;
};

/// A record to be published once, and only if, the transaction commits.
struct OutboxRecord {
  std::string topic{};  // without namespace
  std::string key{};
  std::optional<std::string> value{};  // nullopt: the key's record is to be forgotten (a tombstone)
  std::string traceparent{};           // W3C, of the request that caused it; may be empty
};

/// What a credential is proven with, beside the fields an operator may see.
struct CredentialSecrets {
  std::string lookup_key{};     // how the credential is found: see core/credential.h
  std::string salt{};           // tokens: raw bytes
  std::string secret_hash{};    // tokens: sha256(salt || secret), raw bytes
  std::string sealed_secret{};  // PSK: the key, sealed by Vault
  std::string public_key{};     // JWT: PEM
};

/// What decides whether a device may connect and what it may do then; without metadata, which are
/// the larger part of it and decide nothing.
struct DeviceRecord {
  Resource device{};
  std::optional<Resource> device_class{};
  std::optional<Resource> topic_policy{};
  bool is_tenant_active = false;
};

/// A credential with everything that decides whether it opens the door.
struct CredentialRecord {
  Resource credential{};
  CredentialSecrets secrets{};
  bool is_expired = false;  // by the database's clock, which made all stamps
  DeviceRecord device{};
};

/// What finds the credentials that a device may have presented.
struct CredentialSearch {
  /// One or two, for no device presents more at a time. The first names the credential more
  /// exactly, so what it finds comes first. None finds nothing.
  std::vector<std::string> lookup_keys{};
  std::string tenant{};          // empty: of any tenant
  std::string serial{};          // what the certificate says: who was registered with another is
  std::string issuer{};          // not meant
  std::string claimed_device{};  // empty: none claimed
};

/// An operator's API key with everything that decides whether it opens the door.
struct ApiKeyRecord {
  Resource key{};
  std::string salt{};         // raw bytes
  std::string secret_hash{};  // raw bytes
  bool is_expired = false;    // by the database's clock
  bool is_revoked = false;
  bool is_tenant_active = false;
};

/// A device of a bulk import, ready to be written.
struct NewDevice {
  std::string id{};  // UUID text
  std::int64_t revision = 0;
  nlohmann::json fields{};
  std::optional<nlohmann::json> credential{};  // fields of its token, if it gets one
  CredentialSecrets secrets{};
};

/// What was wrong with one line of an upload.
struct LineFault {
  std::uint64_t line = 0;  // from 1
  FieldFault fault{};
};

/// Where long work stands. Written outside the work's own transaction, so that it can be watched.
struct OperationProgress {
  std::uint64_t lines_read = 0;
  std::uint64_t devices_written = 0;
  std::uint64_t devices_skipped = 0;  // their external_id existed already
  std::uint64_t faulty_lines = 0;
};

/// How long work ended.
struct OperationOutcome {
  OperationProgress progress{};
  bool is_success = false;
  std::string reason{};             // stable, snake_case; empty for a success
  std::vector<LineFault> faults{};  // the first kMaxReportedFaults
  std::size_t result_parts = 0;     // of those that Transaction::add_result_part() was given
};

/// Long work as operators see it.
struct Operation {
  enum class State : std::uint8_t { kRunning, kSucceeded, kFailed };
  std::string id{};
  State state = State::kRunning;
  nlohmann::json fields{};  // everything an operator may see: see openapi.yaml, Operation
};

/// How a transaction is to be run.
enum class Mode : std::uint8_t {
  kRead,    // changes nothing
  kWrite,   // may be tried again as a whole
  kOnce,    // is never tried again: its input is used up by reading it
  kDryRun,  // as kOnce, and undone at its end though it succeeded
};

/// One database transaction. One owner thread; ends with the function it was given to. After any
/// call failed, the transaction can only be given up: return the error.
class Transaction {
 public:
  virtual ~Transaction() = default;

  enum class Lock : std::uint8_t { kNone, kUpdate };

  /// kNotFound when there is none in the scope, whether or not another tenant has one.
  virtual Result<Resource> find(ResourceKind kind, std::string_view id, Lock lock) = 0;
  virtual Result<std::vector<Resource>> list(ResourceKind kind, const ListQuery& query) = 0;
  /// kAlreadyExists with a fault that names the field, also for a device whose external_id is the
  /// id of another one or the reverse; kFailedPrecondition with reason
  /// "unknown_reference" and a fault when it refers to something that does not exist. Returns the
  /// row as stored, its revision and stamps among it.
  virtual Result<Resource> insert(const Resource& resource) = 0;
  virtual Result<Resource> insert_credential(const Resource& credential,
                                             const CredentialSecrets& secrets) = 0;
  virtual Result<Resource> insert_api_key(const Resource& key, std::string_view salt,
                                          std::string_view secret_hash) = 0;
  /// Replaces every field of the kind's shape and, of a device, status and status_reason. A new
  /// revision in any case, higher than the stored one and than the one given.
  virtual Result<Resource> update(const Resource& resource) = 0;
  /// kFailedPrecondition with reason "in_use" when other things refer to it.
  virtual Result<> remove(ResourceKind kind, std::string_view id) = 0;
  /// Credentials and API keys: stamps revoked_at, if it is not yet stamped.
  virtual Result<Resource> revoke(ResourceKind kind, std::string_view id) = 0;

  /// Makes the tenant exist.
  virtual Result<> ensure_tenant(std::string_view id) = 0;
  /// Makes the device class exist, with defaults if it is new; returns it if it was made.
  virtual Result<std::optional<Resource>> ensure_device_class(std::string_view id) = 0;

  virtual Result<DeviceRecord> device_record(std::string_view device_id) = 0;
  /// Ids of its credentials that are neither revoked nor expired, sorted.
  virtual Result<std::vector<std::string>> active_credential_ids(std::string_view device_id) = 0;
  /// What each search finds, in the order of the searches, in one statement for all: at most
  /// kMaxFoundCredentials each, those that would be let in before others, and of these those of the
  /// first key: no number of others, revoked or another tenant's, hides one that may come in.
  virtual Result<std::vector<std::vector<CredentialRecord>>> find_credentials(
      std::span<const CredentialSearch> searches) = 0;
  virtual Result<std::optional<ApiKeyRecord>> find_api_key(std::string_view id) = 0;

  /// Keeps the answer of a request whose key an AnswerStore has begun. kAborted with reason
  /// "answer_exists" when it is no longer in progress: another run of the request has won.
  virtual Result<> keep_answer(const TenantId& tenant, std::string_view subject,
                               std::string_view key, std::string_view sealed_answer) = 0;

  /// `count` revisions of our own, in rising order: for rows whose records are made before they are
  /// stored.
  virtual Result<std::vector<std::int64_t>> reserve_revisions(std::size_t count) = 0;
  /// Of these external ids, those that exist; sorted.
  virtual Result<std::vector<std::string>> existing_external_ids(
      std::span<const std::string> external_ids) = 0;
  /// Of these UUIDs, those that are ids of devices, spelled as they are kept; sorted.
  virtual Result<std::vector<std::string>> existing_device_ids(
      std::span<const std::string> ids) = 0;
  /// Writes devices whose external_id was free a moment ago, with their credentials. kAborted with
  /// reason "external_id_taken" where one is not any more. Returns the ids of devices whose token's
  /// id another credential has: these have no token now, so the transaction is to be given up.
  virtual Result<std::vector<std::string>> insert_devices(std::span<const NewDevice> devices) = 0;

  /// A part of what the operation's end will hand over: see Store::read_result().
  virtual Result<> add_result_part(std::string_view operation_id, std::size_t part,
                                   std::string_view sealed) = 0;

  /// Ends an operation together with what it did; kAborted with reason "operation_ended" when
  /// somebody else has declared it dead.
  virtual Result<> finish_operation(std::string_view operation_id,
                                    const OperationOutcome& outcome) = 0;

  /// Published in this order, after the commit.
  virtual Result<> append_outbox(std::span<const OutboxRecord> records) = 0;
};

/// Where everything is kept. Thread-safe.
class Store {
 public:
  virtual ~Store() = default;

  struct RunOptions {
    Mode mode = Mode::kWrite;
    /// For the whole of it, repetitions and pauses among it. Zero: the store's own limit.
    std::chrono::milliseconds timeout{0};
  };
  /// Runs the body in a transaction and commits when it returns success. May run it again (Mode),
  /// so the body must set what it hands out anew each time.
  virtual Result<> run(const Scope& scope, const RunOptions& options,
                       const std::function<Result<>(Transaction&)>& body) = 0;

  // Operations are written beside the work's transaction, each call its own.

  /// Begins an operation, unless the tenant has one under this key that runs or succeeded: then
  /// that one is returned. One that failed or was interrupted is begun anew. An empty key is never
  /// found.
  struct Begun {
    Operation operation{};
    bool is_new = false;
  };
  struct NewOperation {
    std::string id{};
    std::string kind{};  // "device_import"
    std::string idempotency_key{};
    std::string request_hash{};
  };
  virtual Result<Begun> begin_operation(const TenantId& tenant, const NewOperation& operation) = 0;
  /// Also says that the work is alive. kAborted with reason "operation_ended" when it was declared
  /// dead.
  virtual Result<> report_progress(const TenantId& tenant, std::string_view operation_id,
                                   const OperationProgress& progress) = 0;
  virtual Result<> fail_operation(const TenantId& tenant, std::string_view operation_id,
                                  const OperationOutcome& outcome) = 0;
  virtual Result<Operation> find_operation(const TenantId& tenant,
                                           std::string_view operation_id) = 0;
  /// Says that the work is alive, before there is progress to tell of. kAborted as above.
  virtual Result<> keep_operation_alive(const TenantId& tenant, std::string_view operation_id) = 0;
  /// The sealed parts of the result, in order; kNotFound with reason "result_gone" when there is
  /// none, or none any more.
  virtual Result<std::vector<std::string>> read_result(const TenantId& tenant,
                                                       std::string_view operation_id) = 0;
  /// From the first time on the result can be read for kResultGrace and no longer.
  virtual Result<> mark_result_taken(const TenantId& tenant, std::string_view operation_id) = 0;
};

/// Store::run() with a value: `in_transaction(store, scope, {.mode = Mode::kRead}, [&](Transaction&
/// t)
/// -> Result<Resource> { … })`.
template <typename Body>
auto in_transaction(Store& store, const Scope& scope, const Store::RunOptions& options, Body&& body)
    -> std::invoke_result_t<Body&, Transaction&> {
  using Outcome = std::invoke_result_t<Body&, Transaction&>;
  std::optional<Outcome> outcome{};
  Result<> done = store.run(scope, options, [&](Transaction& transaction) -> Result<> {
    outcome.emplace(body(transaction));
    if (!*outcome) return fail(outcome->error());
    return {};
  });
  if (!done) return fail(std::move(done).error());
  return *std::move(outcome);
}

/// How long a result may be read again after it was first taken: its answer may have been lost.
inline constexpr std::chrono::seconds kResultGrace = std::chrono::hours(1);

/// Credentials of one device that are neither revoked nor expired.
inline constexpr std::size_t kMaxActiveCredentials = 64;
/// More than two devices can have, so that any more leave the same question: which of them is it?
inline constexpr std::size_t kMaxFoundCredentials = 2 * kMaxActiveCredentials + 1;

/// Work that has not reported for this long has died with its process.
inline constexpr std::chrono::seconds kOperationSilence{30};

/// What became of what was told of a device.
enum class PresenceOutcome : std::uint8_t {
  kChanged,
  kUnchanged,      // all of it was known, or a later session is
  kUnknownDevice,  // there is none, perhaps any more
};

/// Where presence is kept: beside the devices, because it changes with every connect, and neither
/// their revisions nor control.devices are to change with it. Thread-safe.
class PresenceStore {
 public:
  virtual ~PresenceStore() = default;
  /// Merges each change into what is kept of its device (see merge()), all of them or none; durable
  /// when it returns. One outcome for each change, in their order. At most kMaxPresenceChanges.
  virtual Result<std::vector<PresenceOutcome>> merge(
      std::span<const PresenceFold::Change* const> changes) = 0;
};

/// Devices in one statement: enough to make its round trip small beside its work, and some
/// hundredths of a second at most that their rows are locked.
inline constexpr std::size_t kMaxPresenceChanges = 1000;

/// Where refusals are told of, which belong to no transaction. Thread-safe; never blocks, and
/// counts what it has no room for.
class AuditTrail {
 public:
  virtual ~AuditTrail() = default;
  virtual void record(const common::v1::AuditRecord& record) = 0;
};

/// A bearer secret in the form it is kept in, and, only when it was just minted, as text.
struct MintedToken {
  std::string id{};    // finds the record
  std::string salt{};  // raw bytes
  std::string hash{};  // sha256(salt || secret), raw bytes
  std::string text{};  // shown once to whoever asked for it, then forgotten
};

/// A bearer secret as somebody presented it.
struct PresentedToken {
  std::string id{};
  std::string secret{};
};

enum class TokenKind : std::uint8_t { kDevice, kOperator };

/// Everything that touches keys. A port because the core links no cryptography. Thread-safe.
class Vault {
 public:
  virtual ~Vault() = default;

  virtual MintedToken mint(TokenKind kind) = 0;
  /// The stored form of a token that somebody else minted in our format.
  virtual Result<MintedToken> adopt(TokenKind kind, std::string_view text) = 0;
  /// kInvalidArgument for what is not in our format; never quotes it.
  virtual Result<PresentedToken> parse(TokenKind kind, std::string_view text) const = 0;
  /// In time that does not depend on how much of the secret is right.
  virtual bool matches(std::string_view salt, std::string_view hash,
                       std::string_view secret) const = 0;

  /// A name for a credential that has no id of its own: the alphabet and size of token ids.
  virtual std::string mint_id() = 0;
  /// A pre-shared key of 32 random bytes.
  virtual std::string mint_key() = 0;

  /// AES-256-GCM with a key from a file. A sealed value opens only for the context it was sealed
  /// for.
  virtual Result<std::string> seal(std::string_view plain, std::string_view context) const = 0;
  virtual Result<std::string> open(std::string_view sealed, std::string_view context) const = 0;

  /// SHA-256, 32 raw bytes.
  virtual std::string digest(std::string_view bytes) const = 0;

  /// Refuses what is not a public key that devices may sign with, and says why.
  virtual Result<> check_public_key(std::string_view pem) const = 0;
  /// Whether the JSON Web Token was signed with this key by and about `subject`, for us, and is in
  /// force. Returns until when.
  virtual Result<WallTime> verify_jwt(std::string_view jwt, std::string_view public_key_pem,
                                      std::string_view subject) const = 0;
};

}  // namespace sluice::registry
