#pragma once

#include "core/resource.h"

#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/base/ids.h>
#include <sluice/base/result.h>
#include <sluice/common/v1/audit_record.pb.h>

namespace sluice::registry {

/// What an operator may do in a tenant; each role includes the one before it.
enum class Role : std::uint8_t { kViewer, kOperator, kAdmin };

std::string_view to_string(Role role);
/// nullopt for any other text.
std::optional<Role> parse_role(std::string_view text);

/// Who is asking, as proven by a credential. Every use case takes one and works inside `tenant`
/// alone.
struct Caller {
  TenantId home{};  // tenant of the credential
  TenantId
      tenant{};  // whose things are asked for: `home`, but where the platform acts for a tenant
  Role role = Role::kViewer;
  common::v1::AuditActorKind kind = common::v1::AUDIT_ACTOR_KIND_ANONYMOUS;
  std::string id{};           // stable name for the audit trail: an API key's id, a token's subject
  std::string address{};      // network address, without port
  std::string traceparent{};  // W3C; travels with every record the request causes
};

enum class Action : std::uint8_t { kRead, kCreate, kUpdate, kDelete };

/// "create" and so on: the verb of an audit record.
std::string_view to_string(Action action);

/// Who may do something to a kind of thing.
struct AccessRule {
  Role role = Role::kAdmin;
  bool is_platform_only = false;  // only credentials of the platform tenant
};

/// The one table of rights. Routes take their required role from it, and check_access() asks it
/// again, so that a wrongly wired route opens nothing.
AccessRule access_to(ResourceKind kind, Action action);

/// kPermissionDenied with reason "role_too_low", "platform_only" or "foreign_tenant": a credential
/// of one tenant never acts in another, with one exception, an admin of the platform.
Result<> check_access(const Caller& caller, ResourceKind kind, Action action);

}  // namespace sluice::registry
