#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/base/ids.h>

namespace sluice::auth {

/// The credential_id of whoever came with a token of the identity provider. No id of an API key has
/// its size.
inline constexpr std::string_view kOidcCredential = "oidc";

/// What an operator may do, each role including the one before it.
enum class Role : std::uint8_t { kViewer, kOperator, kAdmin };

/// "viewer", "operator", "admin".
std::string_view to_string(Role role);
std::optional<Role> parse_role(std::string_view text);

/// The reserved tenant whose admins manage tenants. It has no devices and no other roles.
inline constexpr std::string_view kPlatformTenant = "platform";

/// Who is calling, as proven by the credential: the tenant is taken from here and from nowhere
/// else.
struct Principal {
  TenantId tenant;
  std::string subject;  // the person or machine, for the audit log
  Role role = Role::kViewer;
  std::string credential_id;  // id of the API key, or "oidc"; never the credential itself

  bool has(Role needed) const { return role >= needed; }
  bool is_platform() const { return role == Role::kAdmin && tenant.value() == kPlatformTenant; }

  /// Who this is, told apart from everybody else of the tenant: what rates and kept answers are
  /// counted by. A subject alone is not: two keys may have one name, and that name may be a
  /// person's.
  std::string identity() const;

  bool operator==(const Principal&) const = default;
};

}  // namespace sluice::auth
