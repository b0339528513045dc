#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace sluice::tsdb {

/// An attribute's value, as some device of a tenant has it.
struct AttributeValue {
  std::string tenant;
  std::string name;
  std::string value;

  auto operator<=>(const AttributeValue&) const = default;
};

/// Of one tenant. Attributes become labels, which dashboards list and group by: what is different
/// for each device, or each day, is none.
struct AttributeLimits {
  std::size_t names = 64;
  std::size_t values_of_name = 10'000;
};

enum class AttributeRefusal : std::uint8_t { kTooManyNames, kTooManyValues };

/// How many values each attribute has: by tenant and name.
using AttributeCounts = std::map<std::string, std::map<std::string, std::size_t>>;

struct AdmittedAttributes {
  std::vector<AttributeValue> admitted;
  std::map<AttributeValue, AttributeRefusal> refused;
};

/// Which of the values that nobody had before there is room for, in their order. `counts` has all
/// attributes of their tenants.
AdmittedAttributes admit(const std::set<AttributeValue>& unknown, AttributeCounts counts,
                         const AttributeLimits& limits);

}  // namespace sluice::tsdb
