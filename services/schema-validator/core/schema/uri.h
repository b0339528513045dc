#pragma once

#include <string>
#include <string_view>

namespace sluice::validator {

/// A reference of RFC 3986 resolved against a base, as far as the identifiers of JSON Schema need
/// it.
inline std::string resolve_uri(std::string_view base, std::string_view reference) {
  const auto scheme_end = reference.find(':');
  const auto first_slash = reference.find_first_of("/?#");
  if (scheme_end != std::string_view::npos && scheme_end < first_slash)
    return std::string(reference);
  base = base.substr(0, base.find('#'));
  if (reference.empty()) return std::string(base);
  if (reference.starts_with('#')) return std::string(base).append(reference);
  const auto authority = base.find("://");
  const std::size_t path_begin =
      authority == std::string_view::npos
          ? (base.find(':') == std::string_view::npos ? 0 : base.find(':') + 1)
          : std::min(base.find('/', authority + 3), base.size());
  const std::string_view before = base.substr(0, path_begin);
  if (reference.starts_with('/')) return std::string(before).append(reference);
  std::string_view path = base.substr(path_begin);
  path = path.substr(0, path.find('?'));
  path = path.substr(0, path.rfind('/') + 1);  // npos + 1 is 0
  std::string made(before);
  if (path.empty() && authority != std::string_view::npos) made += '/';
  made.append(path);
  while (reference.starts_with("../") || reference.starts_with("./")) {
    const bool is_up = reference[1] == '.';
    reference.remove_prefix(is_up ? 3 : 2);
    if (!is_up || made.size() <= path_begin + 1) continue;
    made.resize(made.rfind('/', made.size() - 2) + 1);
  }
  return made.append(reference);
}

}  // namespace sluice::validator
