#include <sluice/http/etag.h>

#include <algorithm>
#include <charconv>
#include <format>

#include <sluice/http/problem.h>
#include <sluice/http/request.h>

namespace sluice::http {
namespace {

// More versions than anybody can have seen of one thing.
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

}  // namespace

std::string etag_of(std::int64_t version) { return std::format("\"v{}\"", version); }

std::optional<std::int64_t> version_of(std::string_view etag) {
  if (etag.size() < 4 || !etag.starts_with("\"v") || !etag.ends_with('"')) return std::nullopt;
  const std::string_view digits = etag.substr(2, etag.size() - 3);
  std::int64_t version = 0;
  const auto [end, problem] =
      std::from_chars(digits.data(), digits.data() + digits.size(), version);
  // Comparing with the tag itself refuses "+7", "007" and what else reads as 7.
  if (problem != std::errc{} || end != digits.data() + digits.size() || etag_of(version) != etag) {
    return std::nullopt;
  }
  return version;
}

Error precondition_failed() {
  return Error(ErrorCode::kFailedPrecondition,
               "what is stored is not the version the request names")
      .with_reason(std::string(reason::kPreconditionFailed));
}

Result<Preconditions::Condition> Preconditions::parse_list(const Request& request,
                                                           std::string_view header) {
  Condition out;
  const auto value = request.headers.joined(header);
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

Result<Preconditions> Preconditions::parse(const Request& request) {
  Preconditions out;
  SLUICE_TRY_ASSIGN(out.if_match_, parse_list(request, "If-Match"));
  SLUICE_TRY_ASSIGN(out.if_none_match_, parse_list(request, "If-None-Match"));
  return out;
}

Result<> Preconditions::check_write(const std::optional<std::string>& current) const {
  if (if_match_.is_present) {
    if (!current) return fail(precondition_failed());
    // If-Match compares strongly: a weak tag never matches.
    const bool is_weak = current->starts_with("W/");
    const bool matches =
        if_match_.is_any ||
        (!is_weak && std::ranges::find(if_match_.tags, *current) != if_match_.tags.end());
    if (!matches) return fail(precondition_failed());
  }
  if (if_none_match_.is_present && current && is_not_modified(*current)) {
    return fail(precondition_failed());
  }
  return {};
}

bool Preconditions::is_not_modified(std::string_view current) const {
  if (!if_none_match_.is_present) return false;
  if (if_none_match_.is_any) return true;
  return std::ranges::any_of(if_none_match_.tags, [&](const std::string& tag) {
    return without_weakness(tag) == without_weakness(current);
  });
}

Result<std::optional<std::int64_t>> Preconditions::expected_version() const {
  if (!if_match_.is_present || if_match_.is_any) return std::optional<std::int64_t>{};
  // Of several tags none can be right and another wrong in one UPDATE; nobody sends them.
  const auto version =
      if_match_.tags.size() == 1 ? version_of(if_match_.tags.front()) : std::nullopt;
  if (!version) return fail(precondition_failed());
  return version;
}

}  // namespace sluice::http
