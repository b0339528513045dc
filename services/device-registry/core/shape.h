#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/error.h>

#include <nlohmann/json_fwd.hpp>

namespace sluice::registry {

/// What one member of a JSON object may hold. Tables of these say what the registry accepts; the
/// same bounds stand in openapi.yaml, and a test compares the two.
struct Field {
  enum class Type : std::uint8_t {
    kId,          // the rule of check_id()
    kText,        // min to max characters, no control characters
    kOneOf,       // one of `one_of`
    kInteger,     // min to max
    kBoolean,     //
    kTime,        // RFC 3339
    kHex,         // lower-case hex, min to max characters
    kBase64Url,   // without padding, min to max characters
    kPem,         // like kText, but line breaks are allowed
    kAttributes,  // any object within kMaxAttributes…
    kObject,      // an object of `fields`
    kList,        // min to max objects of `fields`
    kFreeList,    // min to max objects of any content within kMaxAttributes…
  };

  std::string_view name;
  Type type = Type::kText;
  bool is_required = false;
  std::int64_t min = 0;
  std::int64_t max = 0;
  std::span<const std::string_view> one_of{};
  std::span<const Field> fields{};
};

/// What a whole object may hold; any other member is a fault. A null member counts as absent.
using Shape = std::span<const Field>;

/// Free-form attributes: enough for what people keep beside a device, small enough that a page of a
/// thousand devices stays a few megabytes.
inline constexpr std::size_t kMaxAttributesSize = 16 * 1024;  // bytes as JSON text
inline constexpr std::size_t kMaxAttributesDepth = 8;
inline constexpr std::size_t kMaxAttributes = 256;  // members of one object
/// Texts, numbers and truth values in all of it: each is a row of the index that finds devices by
/// their attributes.
inline constexpr std::size_t kMaxAttributeScalars = 256;
/// Numbers other than 0 lie between this and its reciprocal: PostgreSQL writes them out digit by
/// digit, so that 1e300 would grow to 300 characters.
inline constexpr double kMaxAttributeNumber = 1e30;

/// Whether it is a time as RFC 3339 has it, of the years 1 to 9999 in UTC: PostgreSQL has no year
/// 0.
bool is_time(std::string_view text);

/// Everything that is wrong with `document`, each fault with the JSON pointer of its place under
/// `base`; empty when it fits. Stops after kMaxFaults, so that a hostile document costs little.
std::vector<FieldFault> check_shape(const nlohmann::json& document, Shape shape,
                                    std::string_view base = "");
inline constexpr std::size_t kMaxFaults = 64;

}  // namespace sluice::registry
