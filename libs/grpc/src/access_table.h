#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::rpc {

/// Which peer may call which method. Filled before the server starts, then only read.
class AccessTable {
 public:
  enum class Verdict : std::uint8_t { kAllowed, kUnknownMethod, kWrongPeer, kNoWatch };

  /// `name` without the slash in front. The same name twice is a bug.
  void add(std::string name, std::vector<std::string> peers);

  /// `path` as gRPC has it: "/sluice.device.v1.DeviceAuthentication/Authenticate".
  Verdict check(std::string_view path, std::string_view peer) const;
  /// On a plaintext connection, which proves no peer: only whether the method is known.
  Verdict check_without_peer(std::string_view path) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> peers_by_path_;
};

}  // namespace sluice::rpc
