#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <optional>
#include <unordered_map>

#include <sluice/base/clock.h>
#include <sluice/net/peer_identity.h>

namespace sluice::net {

/// What verifying a client's chain found out.
struct VerifiedChain {
  PeerIdentityPtr identity;  // shared with the connections of that client
  Fingerprint sent{};        // of all certificates sent, in their order
  Fingerprint anchor{};      // the trusted certificate that the chain ends at
  WallTime valid_from{};     // when every certificate of the chain is valid
  WallTime valid_until{};
  std::uint64_t bundle = 0;  // which content of the CA file it was verified with

  bool is_valid_at(WallTime time) const { return valid_from <= time && time < valid_until; }
};

/// The chains verified lately, by the fingerprint of the client's certificate. Bounded: two halves,
/// of which the older is dropped when the younger is full; a find moves its entry to the younger.
/// That keeps what is used like LRU does, without a list to maintain at each find. Thread-safe.
class VerifiedChains {
 public:
  explicit VerifiedChains(std::size_t capacity) : half_(capacity / 2) {}

  /// Only what was verified with this `bundle` and is valid now.
  std::optional<VerifiedChain> find(const Fingerprint& leaf, std::uint64_t bundle, WallTime now);
  void insert(const Fingerprint& leaf, VerifiedChain chain);
  void forget(const Fingerprint& leaf);
  void clear();
  std::size_t size() const;

 private:
  struct Hash {
    // A fingerprint is random enough to be its own hash; nobody can choose 64 bits of many SHA-256
    // and have the certificates signed, too.
    std::size_t operator()(const Fingerprint& leaf) const {
      std::size_t out = 0;
      std::memcpy(&out, leaf.data(), sizeof(out));
      return out;
    }
  };
  using Half = std::unordered_map<Fingerprint, VerifiedChain, Hash>;

  void insert_locked(const Fingerprint& leaf, VerifiedChain chain);

  const std::size_t half_;  // 0: nothing is kept
  mutable std::mutex mutex_;
  Half young_;
  Half old_;
};

}  // namespace sluice::net
