#include "core/attributes/attribute_limits.h"

namespace sluice::tsdb {

AdmittedAttributes admit(const std::set<AttributeValue>& unknown, AttributeCounts counts,
                         const AttributeLimits& limits) {
  AdmittedAttributes result;
  for (const AttributeValue& each : unknown) {
    auto& names = counts[each.tenant];
    const auto known = names.find(each.name);
    if (known == names.end() && names.size() >= limits.names) {
      result.refused.emplace(each, AttributeRefusal::kTooManyNames);
    } else if (known != names.end() && known->second >= limits.values_of_name) {
      result.refused.emplace(each, AttributeRefusal::kTooManyValues);
    } else {
      ++names[each.name];
      result.admitted.push_back(each);
    }
  }
  return result;
}

}  // namespace sluice::tsdb
