#include "access_table.h"

#include <algorithm>
#include <utility>

#include <sluice/base/check.h>

namespace sluice::rpc {
namespace {

constexpr std::string_view kHealthCheck = "/grpc.health.v1.Health/Check";
// An open stream would hold every drain up until its deadline. The protocol lets a server do
// without it: callers then take the connection for healthy.
constexpr std::string_view kHealthWatch = "/grpc.health.v1.Health/Watch";

}  // namespace

void AccessTable::add(std::string name, std::vector<std::string> peers) {
  const bool is_new = peers_by_path_.emplace("/" + std::move(name), std::move(peers)).second;
  SLUICE_CHECK(is_new);
}

AccessTable::Verdict AccessTable::check(std::string_view path, std::string_view peer) const {
  const Verdict verdict = check_without_peer(path);
  if (verdict != Verdict::kAllowed || path == kHealthCheck) return verdict;
  // An empty name is a certificate that names no service, and never one of the peers.
  const auto& peers = peers_by_path_.find(path)->second;
  return !peer.empty() && std::ranges::contains(peers, peer) ? Verdict::kAllowed
                                                             : Verdict::kWrongPeer;
}

AccessTable::Verdict AccessTable::check_without_peer(std::string_view path) const {
  if (path == kHealthCheck) return Verdict::kAllowed;
  if (path == kHealthWatch) return Verdict::kNoWatch;
  return peers_by_path_.contains(path) ? Verdict::kAllowed : Verdict::kUnknownMethod;
}

}  // namespace sluice::rpc
