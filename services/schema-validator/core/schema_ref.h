#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::validator {

/// "2.7". A minor version accepts all that its predecessors of the same major did.
struct Version {
  std::uint32_t major = 1;
  std::uint32_t minor = 0;
  auto operator<=>(const Version&) const = default;

  std::string text() const;
  /// Two decimal numbers without sign or leading zeros; the major is at least 1.
  static std::optional<Version> parse(std::string_view text);
};

/// What a device's record says of its schema: "meter", the latest version of all, or "meter:2", the
/// latest of that major. ':' because an id of the registry, which this is there, cannot hold '@',
/// and an id of a schema, which has no ':', is never mistaken for one with a major.
struct SchemaRef {
  std::string_view id{};
  std::optional<std::uint32_t> major{};

  /// "meter@2" is read as "meter:2".
  static SchemaRef parse(std::string_view text);
};

}  // namespace sluice::validator
