#include "ops_http.h"

#include <algorithm>
#include <format>
#include <ranges>

#include <sluice/http_semantics/field_text.h>
#include <sluice/http_semantics/status.h>

namespace sluice::service {
namespace {

/// More header fields than any prober or browser sends.
constexpr std::size_t kMaxHeaders = 64;

/// What RFC 9110 lets methods and field names be made of.
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("!#$%&'*+-.^_`|~").contains(c);
  });
}

bool is_visible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; });
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

/// The text up to the next line's end, which is taken from the front of `rest`.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find("\r\n"), rest.size());
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 2, rest.size()));
  return line;
}

}  // namespace

std::optional<std::string_view> OpsRequest::header(std::string_view name) const {
  for (const auto& [field, value] : headers) {
    if (field == name) return value;
  }
  return std::nullopt;
}

std::size_t OpsRequest::count(std::string_view name) const {
  return static_cast<std::size_t>(std::ranges::count(headers | std::views::keys, name));
}

std::expected<OpsRequest, int> parse_head(std::string_view head) {
  const std::string_view start = take_line(head);
  const std::size_t first = start.find(' ');
  const std::size_t last = start.rfind(' ');
  if (first == std::string_view::npos || first == last) return std::unexpected(400);
  const std::string_view method = start.substr(0, first);
  const std::string_view target = start.substr(first + 1, last - first - 1);
  const std::string_view protocol = start.substr(last + 1);
  if (!is_token(method) || !target.starts_with('/') || !is_visible(target)) {
    return std::unexpected(400);
  }
  if (protocol != "HTTP/1.1" && protocol != "HTTP/1.0") {
    return std::unexpected(protocol.starts_with("HTTP/") ? 505 : 400);
  }

  OpsRequest request;
  request.method = method;
  request.path = target.substr(0, target.find_first_of("?#"));
  while (!head.empty()) {
    const std::string_view line = take_line(head);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
      return std::unexpected(400);
    }
    const std::string_view value = http::trim(line.substr(colon + 1));
    if (std::ranges::any_of(value, [](char c) {
          return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F;
        })) {
      return std::unexpected(400);
    }
    if (request.headers.size() == kMaxHeaders) return std::unexpected(431);
    request.headers.emplace_back(lower(line.substr(0, colon)), value);
  }
  return request;
}

std::string serialise(const OpsResponse& response, bool is_head) {
  std::string out = std::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nConnection: close\r\n",
      response.status, http::status_title(response.status), response.content_type,
      response.body.size());
  for (const auto& [name, value] : response.headers) out += std::format("{}: {}\r\n", name, value);
  out += "\r\n";
  if (!is_head) out += response.body;
  return out;
}

OpsResponse plain(int status, std::string_view text) {
  return {.status = status, .body = std::string(text) + "\n"};
}

}  // namespace sluice::service
