#pragma once

#include "core/caller.h"
#include "core/device_status.h"
#include "core/json.h"
#include "core/resource.h"
#include "ports.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/base/uuid.h>
#include <sluice/http_semantics/preconditions.h>

namespace sluice::registry {

/// What a write did.
struct Written {
  Resource resource{};               // as it is stored now
  Json shown_once = Json::object();  // "auth_token", "psk_key" or "key": for this one answer
  bool is_changed = true;            // false where the request asked for what was so already
};

/// The answer of a POST that is to be given again should the same request come again. It is kept in
/// the transaction of the write itself, so that a crash between the two cannot do the work twice.
struct KeepAnswer {
  std::string subject{};  // who chose the key: equal keys of two callers never meet
  std::string key{};
  /// The whole answer as bytes. Called inside the transaction, perhaps more than once.
  std::function<std::string(const Written&)> render{};
};

struct WriteOptions {
  http::Preconditions preconditions{};
  bool is_dry_run = false;  // everything is checked, nothing is kept, no secret is shown
  std::optional<KeepAnswer> keep_answer{};
};

/// A list as it was asked for, unchecked.
struct ListRequest {
  std::string filter{};
  std::string order_by{};
  std::string page_token{};
  std::size_t page_size = 0;  // 0: kDefaultPageSize
  std::optional<std::string>
      device_id{};  // credentials: the device whose they are; required for them
};

struct Page {
  std::vector<Resource> items{};
  std::string next_page_token{};  // empty on the last page
};

/// A page ends early past this, whatever its page_size: a thousand things with as much metadata as
/// they may have are more than one answer should be.
inline constexpr std::size_t kMaxPageBytes = std::size_t{4} << 20;

/// Reads and changes whatever operators manage, one way for all kinds of things.
///
/// Every call checks the caller's rights, works inside the caller's tenant alone, and answers for
/// another tenant's thing as for one that does not exist. Every change is one transaction that
/// holds the row, the record for `control.devices` and the audit record, so each exists if and only
/// if the others do. Errors:
///   kInvalidArgument    faults name the fields by JSON pointer, or the parameter
///   kNotFound           no such thing in this tenant
///   kAlreadyExists      the id or external_id is taken; a fault names the field
///   kFailedPrecondition reason "precondition_failed" (If-Match), "illegal_transition", "in_use"
///                       (others refer to it), "unknown_reference" (a fault names the field),
///                       "too_many_credentials" (of one device)
///   kPermissionDenied   see check_access()
///   kAborted            reason "answer_exists": another run of the same request won; ask again
/// Thread-safe. What is passed by reference must outlive it.
class Catalog {
 public:
  Catalog(Store& store, Vault& vault, const Clock& clock, Random& random);

  Result<Resource> get(const Caller& caller, ResourceKind kind, std::string_view id);
  Result<Page> list(const Caller& caller, ResourceKind kind, const ListRequest& request);

  /// Makes a thing from the body of a POST, which has the id where people choose it (not for
  /// devices and API keys, whose ids are made here). Not for credentials: see add_credential().
  ///
  /// A device may have, beside the fields of its shape, "status" ("active" unless told) and the
  /// members of device_token_fields(); unless issue_token is false it gets a token, which
  /// `shown_once` holds. An unknown device class is made with defaults. An API key's text is in
  /// `shown_once` too.
  Result<Written> create(const Caller& caller, ResourceKind kind, const Json& body,
                         const WriteOptions& options);

  /// Changes a thing by an RFC 7396 merge patch of the fields of its shape; ids do not change, and
  /// a device's status changes by set_device_status() alone. Changes nothing where all was so
  /// already.
  Result<Written> update(const Caller& caller, ResourceKind kind, std::string_view id,
                         const Json& patch, const WriteOptions& options);

  /// Deletes a thing; kFailedPrecondition, reason "in_use", while others refer to it. A device
  /// takes its credentials along. Not for credentials and API keys: those are revoked, and stay
  /// listed, so that a later use of them is told apart from a guess.
  Result<> remove(const Caller& caller, ResourceKind kind, std::string_view id,
                  const WriteOptions& options);

  /// :activate, :deactivate, :quarantine, :revoke. `reason` goes to the device's status_reason.
  Result<Written> set_device_status(const Caller& caller, std::string_view device_id,
                                    DeviceStatus status, std::string_view reason,
                                    const WriteOptions& options);

  /// Gives a device another credential: see prepare_credential() for the body.
  Result<Written> add_credential(const Caller& caller, std::string_view device_id, const Json& body,
                                 const WriteOptions& options);

  /// A credential of this device; kNotFound for one of another device.
  Result<Resource> get_credential(const Caller& caller, std::string_view device_id,
                                  std::string_view credential_id);
  /// Ends sessions that were opened with it. Revoking again changes nothing.
  Result<Written> revoke_credential(const Caller& caller, std::string_view device_id,
                                    std::string_view credential_id, const WriteOptions& options);
  Result<Written> revoke_api_key(const Caller& caller, std::string_view key_id,
                                 const WriteOptions& options);

 private:
  using Work = std::function<Result<Written>(Transaction&)>;

  /// Runs a write as its options say: dry or not, its answer kept or not.
  Result<Written> write(const Caller& caller, ResourceKind kind, const WriteOptions& options,
                        const Work& work);
  Result<Written> insert_device(Transaction& transaction, const Caller& caller, const Json& body);
  Result<Written> insert_api_key(Transaction& transaction, const Caller& caller, const Json& body);
  Result<Written> insert_plain(Transaction& transaction, const Caller& caller, ResourceKind kind,
                               const Json& body);
  /// What belongs to a changed device: its record and the audit record.
  Result<> publish_device(Transaction& transaction, const Caller& caller, const Resource& device,
                          std::string_view action, std::string_view target,
                          std::vector<std::string> changed_fields);
  OutboxRecord audit(const Caller& caller, std::string_view action, std::string_view target,
                     std::vector<std::string> changed_fields);

  Store& store_;
  Vault& vault_;
  const Clock& clock_;
  UuidGenerator uuids_;
};

/// What an answer kept by KeepAnswer is sealed for.
std::string answer_seal_context(const TenantId& tenant, std::string_view subject,
                                std::string_view key);

}  // namespace sluice::registry
