#pragma once

#include "core/resource.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

#include <nlohmann/json.hpp>

namespace sluice::registry {

/// One term of a filter: `status = "active"`, `metadata.site.floor = 3`.
struct Comparison {
  enum class Operator : std::uint8_t {
    kEqual,
    kNotEqual,
    kLess,
    kLessOrEqual,
    kGreater,
    kGreaterOrEqual
  };

  const QueryField* field = nullptr;  // a row of ResourceInfo::query_fields
  std::vector<std::string> path{};    // under an attributes field: the names below it
  Operator op = Operator::kEqual;
  nlohmann::json value{};  // text, number, boolean or null
};

/// All terms must hold.
using Filter = std::vector<Comparison>;

/// Reads a filter:
///   filter     = comparison *( "AND" comparison )
///   comparison = name ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
///   name       = word *( "." word )            under attributes, words may be quoted JSON strings
///   value      = JSON string, number, true, false or null
/// Small on purpose: each term maps to an indexed or bounded SQL condition whose values are
/// parameters, so no filter can inject SQL and none can make the planner run wild. Faults name
/// column and reason.
Result<Filter> parse_filter(std::string_view text, const ResourceInfo& info);
inline constexpr std::size_t kMaxFilterSize = 1024;
inline constexpr std::size_t kMaxFilterTerms = 16;

struct Order {
  const QueryField* field = nullptr;
  bool is_descending = false;
};

/// `name`, `name asc` or `name desc`; empty means the kind's default.
Result<Order> parse_order(std::string_view text, const ResourceInfo& info);

/// The last row of the page before: the next begins after it.
struct Position {
  std::string value{};  // of the order's field
  std::string id{};
};

struct ListQuery {
  Filter filter;
  Order order;
  std::optional<Position> after{};
  std::optional<std::string> device_id{};  // credentials: of this device alone
  std::size_t limit = 0;
};

inline constexpr std::size_t kDefaultPageSize = 100;
inline constexpr std::size_t kMaxPageSize = 1000;

/// A page token is opaque to clients but not secret: it says where the last page ended and, by a
/// fingerprint, which question it belongs to, so that it cannot be used with another filter or
/// order. Tampering gains nothing, since the tenant comes from the credential and every part is
/// checked.
std::string encode_page_token(const Position& position, std::string_view question);
Result<Position> decode_page_token(std::string_view token, std::string_view question,
                                   const Order& order, const ResourceInfo& info);

/// The question of a list request, for the token's fingerprint.
std::string question_of(const ResourceInfo& info, std::string_view filter,
                        std::string_view order_by);

}  // namespace sluice::registry
