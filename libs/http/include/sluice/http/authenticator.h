#pragma once

#include <sluice/auth/principal.h>
#include <sluice/base/result.h>

namespace sluice::http {

struct Request;

/// Port: who sends this request. Called from any thread, with head and peer but no body; may block
/// up to a deadline of its own. kUnauthenticated becomes 401, kUnavailable 503; nothing lets a
/// request pass.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  virtual Result<auth::Principal> authenticate(const Request& request) = 0;
};

/// The credential of `Authorization: Bearer …`: kUnauthenticated when there is none, or more than
/// one.
Result<std::string_view> bearer_credential(const Request& request);

}  // namespace sluice::http
