#include <sluice/http_semantics/preconditions.h>

#include <algorithm>
#include <format>
#include <utility>

#include <sluice/http_semantics/status.h>

namespace sluice::http {
namespace {

// More revisions than anybody can have seen of one thing.
constexpr std::size_t kMaxTags = 32;

std::string_view without_weakness(std::string_view tag) {
  if (tag.starts_with("W/")) tag.remove_prefix(2);
  return tag;
}

void skip_blanks(std::string_view& text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
}

/// Takes one entity tag off the front; empty when there is none.
std::string take_tag(std::string_view& text) {
  std::size_t at = text.starts_with("W/") ? 2 : 0;
  if (at >= text.size() || text[at] != '"') return "";
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c <= 0x20 || c == 0x7f) return "";
  }
  if (at >= text.size()) return "";
  std::string tag(text.substr(0, at + 1));
  text.remove_prefix(at + 1);
  return tag;
}

std::unexpected<Error> precondition_failed(std::string message) {
  return fail(Error(ErrorCode::kFailedPrecondition, std::move(message))
                  .with_reason(std::string(reason::kPreconditionFailed)));
}

}  // namespace

std::string etag_of(std::int64_t revision) { return std::format("\"{}\"", revision); }

Result<Preconditions::Condition> Preconditions::parse_list(std::string_view header,
                                                           std::optional<std::string_view> value) {
  Condition out;
  if (!value) return out;
  out.is_present = true;
  std::string_view rest = *value;
  if (rest == "*") {
    out.is_any = true;
    return out;
  }
  const auto malformed = [&] {
    return fail(Error(ErrorCode::kInvalidArgument, std::format("{} is malformed", header))
                    .with_fault(std::string(header), "must be * or a list of quoted entity tags"));
  };
  while (true) {
    skip_blanks(rest);
    std::string tag = take_tag(rest);
    if (tag.empty() || out.tags.size() >= kMaxTags) return malformed();
    out.tags.push_back(std::move(tag));
    skip_blanks(rest);
    if (rest.empty()) return out;
    if (!rest.starts_with(',')) return malformed();
    rest.remove_prefix(1);
  }
}

Result<Preconditions> Preconditions::parse(std::optional<std::string_view> if_match,
                                           std::optional<std::string_view> if_none_match) {
  Preconditions out;
  SLUICE_TRY_ASSIGN(out.if_match_, parse_list("If-Match", if_match));
  SLUICE_TRY_ASSIGN(out.if_none_match_, parse_list("If-None-Match", if_none_match));
  return out;
}

Result<> Preconditions::check_write(std::optional<std::int64_t> revision) const {
  if (if_match_.is_present) {
    if (!revision) return precondition_failed("If-Match was sent, but there is nothing to match");
    // If-Match compares strongly: our tags are strong, so a weak one equals none of them.
    const std::string current = etag_of(*revision);
    if (!if_match_.is_any && !std::ranges::contains(if_match_.tags, current)) {
      return precondition_failed("it was changed since it was read: the ETag is now " + current);
    }
  }
  if (if_none_match_.is_present && revision) {
    if (is_create_only()) return precondition_failed("it exists already");
    if (is_not_modified(*revision)) {
      return precondition_failed("If-None-Match names the present ETag");
    }
  }
  return {};
}

bool Preconditions::is_not_modified(std::int64_t revision) const {
  if (if_none_match_.is_any) return true;
  return std::ranges::contains(if_none_match_.tags, std::string_view(etag_of(revision)),
                               without_weakness);
}

}  // namespace sluice::http
