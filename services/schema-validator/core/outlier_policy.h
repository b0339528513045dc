#pragma once

#include "core/stream/outliers.h"

#include <string>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::validator {

/// Reads what operators say of one metric's outliers: the JSON object of /v1/outlier-policies, such
/// as {"action": "quarantine", "max": 120, "max_step": 15}. What it leaves out is OutlierRule's
/// default. kInvalidArgument with a fault for each member that cannot be used.
Result<OutlierRule> parse_outlier_rule(std::string_view json);
/// The same rule in full.
std::string to_json(const OutlierRule& rule);

}  // namespace sluice::validator
