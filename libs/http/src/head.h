#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/base/result.h>
#include <sluice/http/headers.h>

namespace sluice::http {

/// Request line and headers together. A bearer token has up to 4 KiB, a page token as much in the
/// target.
inline constexpr std::size_t kMaxHeadSize = 16 * 1024;
inline constexpr std::size_t kMaxTargetSize = 8 * 1024;
/// Browsers behind two proxies send about 30.
inline constexpr std::size_t kMaxHeaderCount = 64;

/// How a message says where its body ends.
struct Framing {
  bool is_chunked = false;
  std::optional<std::uint64_t> content_length;

  bool has_body() const { return is_chunked || content_length.value_or(0) > 0; }
};

/// The head of a request that only one reading is possible of.
struct RequestHead {
  std::string method;
  std::string target;  // as it came
  Headers headers;
  Framing framing;
  bool wants_close = false;
  bool expects_continue = false;

  /// The target up to its '?', and what follows it.
  std::string_view path() const;
  std::string_view query() const;
};

/// Size of the head at the front of `buffer`, its empty line included; 0 while that has not come. A
/// line that ends in a bare LF ends the head too: parsing it then fails at once instead of by
/// timeout. `scanned` remembers how far earlier calls have looked; it starts with 0.
std::size_t find_head_end(std::string_view buffer, std::size_t& scanned);

/// Reads a whole head strictly. Whatever two programs could read differently is refused rather than
/// repaired, so that no request can be hidden from a proxy in front of us: bare CR or LF, folded
/// lines, blanks before a colon, control characters, Content-Length that is repeated, signed or a
/// list, Transfer-Encoding other than one "chunked", or both of them, HTTP/1.0, absolute targets.
Result<RequestHead> parse_request_head(std::string_view head);

/// Where the body ends (RFC 9112, section 6), where there is exactly one answer to that.
Result<Framing> framing_of(const Headers& headers);

/// Whether a header may be sent: a token as name, no control characters in the value.
bool is_valid_header(std::string_view name, std::string_view value);

}  // namespace sluice::http
