#include "verified_chains.h"

#include <utility>

namespace sluice::net {

std::optional<VerifiedChain> VerifiedChains::find(const Fingerprint& leaf, std::uint64_t bundle,
                                                  WallTime now) {
  std::lock_guard lock(mutex_);
  const auto young = young_.find(leaf);
  if (young == young_.end()) {
    auto node = old_.extract(leaf);
    if (node.empty()) return std::nullopt;
    VerifiedChain chain = std::move(node.mapped());
    if (chain.bundle != bundle || !chain.is_valid_at(now)) return std::nullopt;
    insert_locked(leaf, chain);
    return chain;
  }
  if (young->second.bundle != bundle || !young->second.is_valid_at(now)) {
    young_.erase(young);
    return std::nullopt;
  }
  return young->second;
}

void VerifiedChains::insert(const Fingerprint& leaf, VerifiedChain chain) {
  std::lock_guard lock(mutex_);
  old_.erase(leaf);
  insert_locked(leaf, std::move(chain));
}

void VerifiedChains::insert_locked(const Fingerprint& leaf, VerifiedChain chain) {
  if (half_ == 0) return;
  if (young_.size() >= half_ && !young_.contains(leaf)) {
    old_ = std::move(young_);
    young_.clear();
  }
  young_.insert_or_assign(leaf, std::move(chain));
}

void VerifiedChains::forget(const Fingerprint& leaf) {
  std::lock_guard lock(mutex_);
  young_.erase(leaf);
  old_.erase(leaf);
}

void VerifiedChains::clear() {
  std::lock_guard lock(mutex_);
  young_.clear();
  old_.clear();
}

std::size_t VerifiedChains::size() const {
  std::lock_guard lock(mutex_);
  return young_.size() + old_.size();
}

}  // namespace sluice::net
