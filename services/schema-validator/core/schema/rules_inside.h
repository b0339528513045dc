#pragma once

#include "core/schema/json_rules.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace re2 {
class RE2;
}

namespace sluice::validator {

/// One schema of the document; others by their index.
struct Rule {
  using Index = std::uint32_t;
  using Regex = std::shared_ptr<const re2::RE2>;  // owned by the rules that have the same one

  std::optional<bool> verdict{};        // the schemas true and false
  std::optional<std::uint8_t> types{};  // by 1 << JsonType; integers are kIntegerType
  std::optional<std::vector<std::uint32_t>> allowed{};  // enum and const: values on the tape

  // Long doubles hold 64-bit integers and doubles alike without loss.
  std::optional<long double> minimum{}, maximum{}, above{}, below{};
  std::optional<double> multiple_of{};

  std::size_t min_length = 0, max_length = SIZE_MAX;
  Regex pattern{};

  std::unordered_map<std::string, Index> properties{};
  std::vector<std::pair<Regex, Index>> pattern_properties{};
  std::optional<Index> additional_properties{}, unevaluated_properties{}, property_names{};
  std::vector<std::string> required{};
  std::vector<std::pair<std::string, std::vector<std::string>>> dependent_required{};
  std::vector<std::pair<std::string, Index>> dependent_schemas{};
  std::size_t min_properties = 0, max_properties = SIZE_MAX;

  std::vector<Index> prefix_items{};
  std::optional<Index> items{}, unevaluated_items{}, contains{};
  std::size_t min_contains = 1, max_contains = SIZE_MAX;
  std::size_t min_items = 0, max_items = SIZE_MAX;
  bool has_unique_items = false;

  std::vector<Index> all_of{}, any_of{}, one_of{};
  std::optional<Index> negated{}, condition{}, consequence{}, alternative{}, reference{};
};

/// Types as JSON Schema counts them.
enum RuleTypes : std::uint8_t {
  kNullType = 1,
  kBooleanType = 2,
  kIntegerType = 4,
  kNumberType = 8,
  kStringType = 16,
  kArrayType = 32,
  kObjectType = 64,
};

struct JsonRules::Inside {
  std::vector<Rule> rules{};  // the first is the document's
  Tape values{};              // of enum and const
  bool has_unevaluated = false;
};

}  // namespace sluice::validator
