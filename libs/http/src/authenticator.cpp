#include <sluice/http/authenticator.h>

#include <algorithm>

#include <sluice/http/request.h>

namespace sluice::http {
namespace {

// token68 of RFC 9110: what a bearer credential may consist of.
bool is_token68(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~' || c == '+' || c == '/' || c == '=';
}

}  // namespace

Result<std::string_view> bearer_credential(const Request& request) {
  constexpr std::string_view kScheme = "Bearer ";
  if (request.headers.count("Authorization") != 1) {
    return fail(Error(ErrorCode::kUnauthenticated, "exactly one Authorization header is needed")
                    .with_reason("no_credential"));
  }
  std::string_view value = *request.headers.get("Authorization");
  if (value.size() <= kScheme.size() ||
      !equal_ignoring_case(value.substr(0, kScheme.size()), kScheme)) {
    return fail(Error(ErrorCode::kUnauthenticated, "the Authorization scheme is not Bearer")
                    .with_reason("no_credential"));
  }
  value.remove_prefix(kScheme.size());
  while (value.starts_with(' ')) value.remove_prefix(1);
  if (value.empty() || !std::ranges::all_of(value, is_token68)) {
    return fail(Error(ErrorCode::kUnauthenticated, "the bearer credential is malformed")
                    .with_reason("malformed_credential"));
  }
  return value;
}

}  // namespace sluice::http
