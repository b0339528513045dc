#pragma once

#include <string>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::http {

/// Where a Client's request goes.
struct Url {
  bool is_tls = false;
  std::string host;  // without brackets
  int port = 0;
  std::string authority;  // for the Host header
  std::string target;

  /// By its spelling alone: a name that somebody made lead to loopback does not count.
  bool is_loopback() const;
};

/// https:// and http:// without user name and fragment. kInvalidArgument.
Result<Url> parse_url(std::string_view text);

}  // namespace sluice::http
