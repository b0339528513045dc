#include "head.h"

#include <algorithm>
#include <charconv>
#include <format>

#include <sluice/http/problem.h>
#include <sluice/http_semantics/field_text.h>

namespace sluice::http {
namespace {

std::unexpected<Error> malformed(std::string what) {
  return fail(Error(ErrorCode::kInvalidArgument, std::move(what))
                  .with_reason(std::string(reason::kMalformedRequest)));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

/// tchar of RFC 9110, section 5.6.2.
bool is_token_character(char c) {
  return is_letter(c) || is_digit(c) ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_token_character);
}

/// What RFC 3986 lets stand in a path or query.
bool is_target_character(char c) {
  return is_letter(c) || is_digit(c) ||
         std::string_view("-._~!$&'()*+,;=:@/?%").find(c) != std::string_view::npos;
}

bool is_value_character(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

/// Takes a line with its CRLF off the front; nullopt when it ends in anything else.
std::optional<std::string_view> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos || end == 0 || text[end - 1] != '\r') return std::nullopt;
  const std::string_view line = text.substr(0, end - 1);
  text.remove_prefix(end + 1);
  if (line.find('\r') != std::string_view::npos) return std::nullopt;
  return line;
}

/// Reads the fields up to and with the empty line, which must be the end of `text`.
Result<Headers> parse_fields(std::string_view text) {
  Headers out;
  while (true) {
    const auto line = take_line(text);
    if (!line) return malformed("a header line does not end in CRLF");
    if (line->empty()) {
      if (!text.empty()) return malformed("the head does not end where it seems to");
      return out;
    }
    if (line->starts_with(' ') || line->starts_with('\t')) return malformed("a header is folded");
    const std::size_t colon = line->find(':');
    if (colon == std::string_view::npos) return malformed("a header has no colon");
    const std::string_view name = line->substr(0, colon);
    const std::string_view value = trim(line->substr(colon + 1));
    if (!is_token(name)) return malformed("a header's name is malformed");
    if (!std::ranges::all_of(value, is_value_character)) {
      return malformed("a header's value has control characters");
    }
    if (out.size() >= kMaxHeaderCount) {
      return fail(Error(ErrorCode::kInvalidArgument, "there are too many headers")
                      .with_reason(std::string(reason::kHeadTooLarge)));
    }
    out.add(std::string(name), std::string(value));
  }
}

bool has_list_member(const Headers& headers, std::string_view name, std::string_view member) {
  const auto joined = headers.joined(name);
  if (!joined) return false;
  std::string_view rest = *joined;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    if (equal_ignoring_case(trim(rest.substr(0, comma)), member)) return true;
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  }
  return false;
}

Result<> check_host(const Headers& headers) {
  if (headers.count("Host") != 1) return malformed("exactly one Host header is needed");
  const std::string_view host = *headers.get("Host");
  const bool is_plain = std::ranges::all_of(host, [](char c) {
    return is_letter(c) || is_digit(c) ||
           std::string_view("-._~:[]%").find(c) != std::string_view::npos;
  });
  if (host.empty() || !is_plain) return malformed("the Host header is malformed");
  return {};
}

Result<> check_target(std::string_view method, std::string_view target) {
  if (target.size() > kMaxTargetSize) {
    return fail(Error(ErrorCode::kInvalidArgument,
                      std::format("the target is longer than {} bytes", kMaxTargetSize))
                    .with_reason(std::string(reason::kTargetTooLong)));
  }
  if (target == "*" && method == "OPTIONS") return {};
  if (!target.starts_with('/') || !std::ranges::all_of(target, is_target_character)) {
    return malformed(
        "the target must be a path, with what RFC 3986 does not allow percent-encoded");
  }
  return {};
}

}  // namespace

std::string_view RequestHead::path() const {
  return std::string_view(target).substr(0, target.find('?'));
}

std::string_view RequestHead::query() const {
  const std::size_t mark = target.find('?');
  return mark == std::string::npos ? std::string_view() : std::string_view(target).substr(mark + 1);
}

std::size_t find_head_end(std::string_view buffer, std::size_t& scanned) {
  // `scanned` is always the start of a line.
  while (true) {
    const std::size_t end = buffer.find('\n', scanned);
    if (end == std::string_view::npos) return 0;
    const bool is_bare = end == scanned || buffer[end - 1] != '\r';
    const bool is_empty_line = end == scanned + 1;
    scanned = end + 1;
    if (is_bare || is_empty_line) return end + 1;
  }
}

Result<RequestHead> parse_request_head(std::string_view head) {
  const auto line = take_line(head);
  if (!line) return malformed("the request line does not end in CRLF");
  const std::size_t first = line->find(' ');
  const std::size_t last = line->rfind(' ');
  if (first == std::string_view::npos || first == last)
    return malformed("the request line is malformed");

  RequestHead out;
  out.method = line->substr(0, first);
  out.target = line->substr(first + 1, last - first - 1);
  const std::string_view version = line->substr(last + 1);
  // Longer than any registered method; it is written to logs.
  if (!is_token(out.method) || out.method.size() > 32) return malformed("the method is malformed");
  if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) ||
      version[6] != '.' || !is_digit(version[7])) {
    return malformed("the request line is malformed");
  }
  if (version != "HTTP/1.1") {
    return fail(Error(ErrorCode::kUnimplemented, "only HTTP/1.1 is spoken here")
                    .with_reason(std::string(reason::kVersionNotSupported)));
  }
  SLUICE_TRY(check_target(out.method, out.target));
  SLUICE_TRY_ASSIGN(out.headers, parse_fields(head));
  SLUICE_TRY(check_host(out.headers));
  SLUICE_TRY_ASSIGN(out.framing, framing_of(out.headers));
  out.wants_close = has_list_member(out.headers, "Connection", "close");
  if (const auto expect = out.headers.joined("Expect")) {
    if (!equal_ignoring_case(*expect, "100-continue")) {
      return fail(Error(ErrorCode::kInvalidArgument, "the only expectation met is 100-continue")
                      .with_reason(std::string(reason::kExpectationFailed)));
    }
    out.expects_continue = true;
  }
  return out;
}

Result<Framing> framing_of(const Headers& headers) {
  Framing out;
  const std::size_t lengths = headers.count("Content-Length");
  const std::size_t codings = headers.count("Transfer-Encoding");
  if (lengths > 1 || codings > 1 || (lengths == 1 && codings == 1)) {
    return malformed("where the body ends is said more than once");
  }
  if (codings == 1) {
    if (!equal_ignoring_case(*headers.get("Transfer-Encoding"), "chunked")) {
      return malformed("the only Transfer-Encoding is chunked");
    }
    out.is_chunked = true;
  }
  if (lengths == 1) {
    const std::string_view text = *headers.get("Content-Length");
    std::uint64_t length = 0;
    // 18 digits cannot overflow; from_chars alone would let a '-' be seen as "no digits read".
    if (text.empty() || text.size() > 18 || !std::ranges::all_of(text, is_digit)) {
      return malformed("Content-Length is malformed");
    }
    std::from_chars(text.data(), text.data() + text.size(), length);
    out.content_length = length;
  }
  return out;
}

bool is_valid_header(std::string_view name, std::string_view value) {
  return is_token(name) && std::ranges::all_of(value, is_value_character);
}

}  // namespace sluice::http
