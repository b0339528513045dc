#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::registry {

/// The strong entity tag of a resource: its revision in quotes. Revisions come from one sequence
/// for the whole registry, so that a thing made anew under an old id has a new tag.
std::string etag_of(std::int64_t revision);

/// The conditions a request set on what it changes (RFC 9110, section 13.1).
struct Preconditions {
  std::string if_match;  // header values as sent; empty means absent
  std::string if_none_match;

  bool is_create_only() const { return if_none_match == "*"; }
};

/// kFailedPrecondition with reason "precondition_failed" where a condition does not hold for the
/// present revision (nullopt: there is no such resource). Weak tags never match, lists are
/// understood.
Result<> check_preconditions(const Preconditions& preconditions,
                             std::optional<std::int64_t> revision);

/// Whether a GET may be answered 304.
bool is_unchanged(const Preconditions& preconditions, std::int64_t revision);

}  // namespace sluice::registry
