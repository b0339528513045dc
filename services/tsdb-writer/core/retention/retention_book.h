#pragma once

#include "core/retention/retention.h"

#include <string_view>
#include <vector>

#include <sluice/base/ids.h>
#include <sluice/base/result.h>

namespace sluice::tsdb {

struct RetentionOverview {
  std::vector<RetentionPolicy> policies;
  /// Those that the tenant has devices of or has chosen a policy for, by name; at most
  /// RetentionBook::kMaxClasses.
  std::vector<ClassPolicy> classes;
  std::vector<PlannedDrop> drops;
};

/// Who chose a policy, and the record of it for the audit trail.
struct ChoiceNotice {
  std::string_view actor;
  std::string_view audit_record;
  std::string_view traceparent;
};

/// Port: what operators see of retention, and set. Thread-safe.
class RetentionBook {
 public:
  static constexpr std::int64_t kMaxClasses = 1'000;

  virtual ~RetentionBook() = default;

  virtual Result<RetentionOverview> overview(const TenantId& tenant) = 0;
  /// kNotFound with reason "policy" where there is none of that name.
  virtual Result<> check_policy(std::string_view policy) = 0;
  /// As check_policy(). New devices of the class have it at once, others with the next run of
  /// RetentionKeeper. The policy, who chose it and what the trail is told of it are recorded
  /// together.
  virtual Result<> set_class_policy(const TenantId& tenant, std::string_view device_type,
                                    std::string_view policy, const ChoiceNotice& notice) = 0;
};

}  // namespace sluice::tsdb
