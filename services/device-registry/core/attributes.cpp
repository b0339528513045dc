#include "core/attributes.h"

#include "core/json.h"

#include <algorithm>
#include <format>
#include <string_view>

namespace sluice::registry {
namespace {

constexpr std::uint64_t kFnvBasis = 0xcbf29ce484222325U;
constexpr std::uint64_t kFnvPrime = 0x100000001b3U;

/// FNV-1a. Whoever makes two attributes collide only makes their own search read a row in vain.
std::uint64_t mix(std::uint64_t hash, std::string_view bytes) {
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * kFnvPrime;
  return hash;
}

std::uint64_t mix_name(std::uint64_t hash, std::string_view name) {
  // No name holds a NUL (parse_json refuses it), so "a","b" and "ab" differ.
  return mix(mix(hash, name), std::string_view("\0", 1));
}

/// Numbers are one kind: 3 and 3.0 are equal to JSON and to PostgreSQL.
std::string spell(const Json& value) {
  if (value.is_number()) return std::format("n{}", value.get<double>());
  if (value.is_boolean()) return value.get<bool>() ? "t" : "f";
  return "s" + value.get<std::string>();
}

std::int64_t term_of(std::uint64_t path_hash, const Json& value) {
  return static_cast<std::int64_t>(mix(mix(path_hash, "="), spell(value)));
}

// Recursion is bounded by kMaxAttributesDepth.
void collect(const Json& value, std::uint64_t path_hash, std::vector<std::int64_t>& terms) {
  if (value.is_object()) {
    for (const auto& [name, child] : value.items())
      collect(child, mix_name(path_hash, name), terms);
  } else if (value.is_array()) {
    for (const Json& item : value) {
      if (item.is_primitive() && !item.is_null()) terms.push_back(term_of(path_hash, item));
    }
  } else if (!value.is_null()) {
    terms.push_back(term_of(path_hash, value));
  }
}

}  // namespace

std::vector<std::int64_t> attribute_terms(const Json& attributes) {
  std::vector<std::int64_t> terms;
  collect(attributes, kFnvBasis, terms);
  std::ranges::sort(terms);
  const auto repeated = std::ranges::unique(terms);
  terms.erase(repeated.begin(), repeated.end());
  return terms;
}

std::int64_t attribute_term(std::span<const std::string> path, const Json& value) {
  std::uint64_t hash = kFnvBasis;
  for (const std::string& name : path) hash = mix_name(hash, name);
  return term_of(hash, value);
}

bool has_attribute(const Json& attributes, std::span<const std::string> path, const Json& value) {
  const Json* place = &attributes;
  for (const std::string& name : path) {
    if (!place->is_object() || !place->contains(name)) return false;
    place = &(*place)[name];
  }
  if (place->is_array()) {
    return std::ranges::any_of(*place, [&](const Json& item) { return item == value; });
  }
  return *place == value;
}

}  // namespace sluice::registry
