#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/service/ops_page.h>

namespace sluice::service {

/// As much of HTTP/1.1 as probes and scrapers speak: one request without a body that matters, one
/// answer, end of connection. An operator API uses libs/http; this is apart from it so that probes
/// share no thread, queue, limit or fault with the work they watch.
struct OpsRequest {
  std::string method;
  std::string path;                                          // without the query
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  bool peer_is_loopback = false;

  /// Nullopt when it is not there; when there are several, the first, and `count` tells.
  std::optional<std::string_view> header(std::string_view name) const;
  std::size_t count(std::string_view name) const;
};

/// Reads the head of a request, without the blank line that ends it; else the status to refuse
/// with.
std::expected<OpsRequest, int> parse_head(std::string_view head);

/// The bytes of an answer after which the connection closes. HEAD gets none of the body.
std::string serialise(const OpsResponse& response, bool is_head);

/// A short plain answer.
OpsResponse plain(int status, std::string_view text);

}  // namespace sluice::service
