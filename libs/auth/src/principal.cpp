#include <sluice/auth/principal.h>

namespace sluice::auth {

std::string_view to_string(Role role) {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kOperator:
      return "operator";
    case Role::kAdmin:
      return "admin";
  }
  return "";
}

std::optional<Role> parse_role(std::string_view text) {
  for (const Role role : {Role::kViewer, Role::kOperator, Role::kAdmin}) {
    if (text == to_string(role)) return role;
  }
  return std::nullopt;
}

std::string Principal::identity() const {
  return credential_id == kOidcCredential ? "oidc:" + subject : "key:" + credential_id;
}

}  // namespace sluice::auth
