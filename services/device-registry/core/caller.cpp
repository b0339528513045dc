#include "core/caller.h"

#include <array>
#include <format>

namespace sluice::registry {
namespace {

using enum Role;

constexpr std::array<std::string_view, 3> kRoleNames{"viewer", "operator", "admin"};
constexpr std::array<std::string_view, 4> kActionNames{"read", "create", "update", "delete"};

std::unexpected<Error> refuse(std::string reason, std::string message) {
  return fail(
      Error(ErrorCode::kPermissionDenied, std::move(message)).with_reason(std::move(reason)));
}

}  // namespace

std::string_view to_string(Role role) { return kRoleNames[static_cast<std::size_t>(role)]; }

std::optional<Role> parse_role(std::string_view text) {
  const auto found = std::ranges::find(kRoleNames, text);
  if (found == kRoleNames.end()) return std::nullopt;
  return static_cast<Role>(found - kRoleNames.begin());
}

std::string_view to_string(Action action) { return kActionNames[static_cast<std::size_t>(action)]; }

AccessRule access_to(ResourceKind kind, Action action) {
  const bool is_read = action == Action::kRead;
  switch (kind) {
    case ResourceKind::kTenant:
      return {.role = kAdmin, .is_platform_only = true};
    case ResourceKind::kApiKey:
      return {.role = kAdmin};
    // What decides the rights of whole fleets is for admins.
    case ResourceKind::kDeviceClass:
    case ResourceKind::kTopicPolicy:
      return {.role = is_read ? kViewer : kAdmin};
    case ResourceKind::kFleet:
    case ResourceKind::kDevice:
    case ResourceKind::kCredential:
      return {.role = is_read ? kViewer : kOperator};
  }
  return {.role = kAdmin, .is_platform_only = true};
}

Result<> check_access(const Caller& caller, ResourceKind kind, Action action) {
  const AccessRule rule = access_to(kind, action);
  const bool is_platform = caller.home.value() == kPlatformTenant;
  if (caller.home != caller.tenant && !(is_platform && caller.role == kAdmin)) {
    return refuse("foreign_tenant", "a credential acts in its own tenant alone");
  }
  if (rule.is_platform_only && !is_platform) {
    return refuse("platform_only", "only the platform's admins may do this");
  }
  if (caller.role < rule.role) {
    return refuse("role_too_low", std::format("this needs the role {}", to_string(rule.role)));
  }
  return {};
}

}  // namespace sluice::registry
