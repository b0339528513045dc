#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include <sluice/auth/principal.h>

namespace sluice::http {

/// Who did or tried what, from where, with which outcome. Never holds payloads or credentials.
struct AuditEntry {
  enum class Outcome : std::uint8_t {
    kDone,     // a write that was carried out
    kFailed,   // a write that was allowed but failed
    kRefused,  // authentication or authorisation said no
  };

  std::optional<auth::Principal> caller;  // none when not authenticated
  std::string action;                     // Route::action: "device.create"
  std::string method;
  std::string route;  // the template; its parameters follow
  std::map<std::string, std::string, std::less<>> path_params;
  std::string peer_ip;
  int status = 0;
  Outcome outcome = Outcome::kDone;
  std::string reason;  // of the error, or its code; empty when done
  bool is_dry_run = false;
  std::string trace_id;
};

/// "done", "failed", "refused".
std::string_view to_string(AuditEntry::Outcome outcome);

/// Port: called from any thread, before the answer is sent; hands the entry on without blocking
/// long.
class AuditSink {
 public:
  virtual ~AuditSink() = default;
  virtual void record(const AuditEntry& entry) = 0;
};

}  // namespace sluice::http
