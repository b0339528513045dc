#include "url.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <format>

#include <arpa/inet.h>

namespace sluice::http {
namespace {

std::unexpected<Error> bad_url(std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, std::format("the URL {}", why));
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == ':' || c == '_';
}

bool is_bad_in_target(char c) { return c <= 0x20 || c >= 0x7f || c == '#'; }

/// 0 where there is no proper port.
int parse_port(std::string_view text) {
  int port = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool is_whole = problem == std::errc{} && end == text.data() + text.size();
  return is_whole && port > 0 && port <= 65'535 ? port : 0;
}

}  // namespace

bool Url::is_loopback() const {
  std::array<unsigned char, 4> v4{};
  if (inet_pton(AF_INET, host.c_str(), v4.data()) == 1) return v4[0] == 127;
  return host == "localhost" || host == "::1";
}

Result<Url> parse_url(std::string_view text) {
  Url out;
  if (text.starts_with("https://"))
    out.is_tls = true;
  else if (!text.starts_with("http://"))
    return bad_url("must start with https:// or http://");
  text.remove_prefix(out.is_tls ? 8 : 7);
  const std::size_t path = text.find_first_of("/?#");
  const std::string_view authority = text.substr(0, path);
  out.target = path == std::string_view::npos ? "/" : std::string(text.substr(path));
  if (!out.target.starts_with('/')) out.target.insert(0, "/");

  std::string_view host = authority;
  out.port = out.is_tls ? 443 : 80;
  const std::size_t colon = authority.rfind(':');
  const std::size_t bracket = authority.rfind(']');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    host = authority.substr(0, colon);
    out.port = parse_port(authority.substr(colon + 1));
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  // User names in URLs end up in logs; credentials belong into headers.
  if (host.empty() || !std::ranges::all_of(host, is_host_character))
    return bad_url("has no proper host");
  if (out.port == 0) return bad_url("has no proper port");
  if (std::ranges::any_of(out.target, is_bad_in_target)) return bad_url("has no proper path");
  out.host = host;
  out.authority = authority;
  return out;
}

}  // namespace sluice::http
