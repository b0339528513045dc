#include "target.h"

namespace sluice::redis {

Result<Target> Target::parse(std::string_view url) {
  Target target;
  if (url.starts_with("rediss://")) {
    target.is_tls = true;
    url.remove_prefix(9);
  } else if (url.starts_with("redis://")) {
    url.remove_prefix(8);
  } else {
    return fail(ErrorCode::kInvalidArgument, "must begin with redis:// or rediss://");
  }
  if (const std::size_t at = url.rfind('@'); at != std::string_view::npos) {
    target.user = url.substr(0, at);
    url.remove_prefix(at + 1);
    if (target.user.contains(':')) {
      return fail(ErrorCode::kInvalidArgument, "must not hold a password: use redis_password_file");
    }
  }
  if (url.ends_with('/')) url.remove_suffix(1);
  while (true) {
    const std::size_t comma = url.find(',');
    SLUICE_TRY_ASSIGN(Node node, Node::parse(url.substr(0, comma)));
    if (node.host.empty())
      return fail(ErrorCode::kInvalidArgument, "names a server without a host");
    target.nodes.push_back(std::move(node));
    if (comma == std::string_view::npos) return target;
    url.remove_prefix(comma + 1);
  }
}

}  // namespace sluice::redis
