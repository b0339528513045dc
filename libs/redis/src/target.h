#pragma once

#include "slot_map.h"

#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::redis {

/// What a redis_url says.
struct Target {
  std::vector<Node> nodes;  // at least one
  std::string user;         // empty: the default user
  bool is_tls = false;

  /// Reads redis://[user@]host:port[,host:port…]. A password is refused: URLs end up in logs.
  static Result<Target> parse(std::string_view url);
};

}  // namespace sluice::redis
