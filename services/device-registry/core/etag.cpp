#include "core/etag.h"

#include <format>

namespace sluice::registry {
namespace {

/// Whether a comma-separated list of entity tags names this one. Our tags hold no comma.
bool names(std::string_view list, std::string_view tag) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    std::string_view item = list.substr(0, comma);
    item.remove_prefix(std::min(item.find_first_not_of(" \t"), item.size()));
    item = item.substr(0, item.find_last_not_of(" \t") + 1);
    if (item == tag) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

std::unexpected<Error> precondition_failed(std::string message) {
  return fail(
      Error(ErrorCode::kFailedPrecondition, std::move(message)).with_reason("precondition_failed"));
}

}  // namespace

std::string etag_of(std::int64_t revision) { return std::format("\"{}\"", revision); }

Result<> check_preconditions(const Preconditions& preconditions,
                             std::optional<std::int64_t> revision) {
  if (!preconditions.if_match.empty()) {
    if (!revision) return precondition_failed("If-Match was sent, but there is nothing to match");
    if (preconditions.if_match != "*" && !names(preconditions.if_match, etag_of(*revision))) {
      return precondition_failed("it was changed since it was read: the ETag is now " +
                                 etag_of(*revision));
    }
  }
  if (!preconditions.if_none_match.empty() && revision) {
    if (preconditions.is_create_only()) return precondition_failed("it exists already");
    if (names(preconditions.if_none_match, etag_of(*revision))) {
      return precondition_failed("If-None-Match names the present ETag");
    }
  }
  return {};
}

bool is_unchanged(const Preconditions& preconditions, std::int64_t revision) {
  if (preconditions.if_none_match.empty()) return false;
  return preconditions.is_create_only() || names(preconditions.if_none_match, etag_of(revision));
}

}  // namespace sluice::registry
