#include "core/schema_ref.h"

#include <charconv>
#include <format>

namespace sluice::validator {
namespace {

std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return value;
}

}  // namespace

std::string Version::text() const { return std::format("{}.{}", major, minor); }

std::optional<Version> Version::parse(std::string_view text) {
  const auto dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto major = parse_number(text.substr(0, dot));
  const auto minor = parse_number(text.substr(dot + 1));
  if (!major || !minor || *major == 0) return std::nullopt;
  return Version{.major = *major, .minor = *minor};
}

SchemaRef SchemaRef::parse(std::string_view text) {
  const auto separator = text.find_last_of(":@");
  if (separator == std::string_view::npos) return {.id = text};
  const auto major = parse_number(text.substr(separator + 1));
  if (!major) return {.id = text};
  return {.id = text.substr(0, separator), .major = major};
}

}  // namespace sluice::validator
