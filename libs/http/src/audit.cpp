#include <sluice/http/audit.h>

#include <string_view>

namespace sluice::http {

std::string_view to_string(AuditEntry::Outcome outcome) {
  switch (outcome) {
    case AuditEntry::Outcome::kDone:
      return "done";
    case AuditEntry::Outcome::kFailed:
      return "failed";
    case AuditEntry::Outcome::kRefused:
      return "refused";
  }
  return "unknown";
}

}  // namespace sluice::http
