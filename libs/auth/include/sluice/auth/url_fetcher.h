#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include <sluice/base/result.h>

namespace sluice::auth {

/// Port: an HTTPS GET. Called from any thread, blocks no longer than the limits say.
class UrlFetcher {
 public:
  struct Limits {
    std::chrono::milliseconds timeout{0};  // for the whole exchange
    std::size_t max_bytes = 0;             // of the body; a larger one is an error
  };

  virtual ~UrlFetcher() = default;
  /// The body of a 200 answer; anything else, redirects included, is an error.
  virtual Result<std::string> get(const std::string& url, const Limits& limits) = 0;
};

}  // namespace sluice::auth
