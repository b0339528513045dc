#pragma once

#include "adapters/front_loops.h"
#include "ports.h"

#include <cstddef>

namespace sluice::front {

class FrontPeers;

/// One loop's neighbours: the other loops directly, the other fronts by FrontPeers. Belongs to the
/// thread of the loop that asks; answers come there.
class LoopNeighbours final : public Neighbours {
 public:
  /// `own` is the loop that asks. `peers` must outlive it, and it what both loops and peers still
  /// have to answer: stop those first.
  LoopNeighbours(FrontLoops loops, std::size_t own, FrontPeers& peers);

  /// kResourceExhausted with reason "loop_full": too many messages of this loop wait at others.
  void deliver(const SessionKey& key, Parcel parcel, Done<Outcome> done) override;
  void forward(const SessionStore::Owned& owner, const SessionKey& key, Parcel parcel,
               Done<Outcome> done) override;
  void release(const SessionStore::Owned& owner, const SessionKey& key, Done<void> done) override;
  void reset_profile(Done<void> done) override;

  /// Messages that may wait at other loops: what the devices of one loop can cause there.
  static constexpr std::size_t kMaxAway = 65'536;

 private:
  template <typename T>
  Done<T> answered_here(Done<T> done);

  const FrontLoops loops_;
  const std::size_t own_;
  FrontPeers& peers_;
  std::size_t away_ = 0;
};

}  // namespace sluice::front
