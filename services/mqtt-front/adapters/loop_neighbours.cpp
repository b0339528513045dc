#include "adapters/loop_neighbours.h"

#include "adapters/front_peers.h"
#include "core/broker.h"

#include <memory>
#include <utility>

namespace sluice::front {

LoopNeighbours::LoopNeighbours(FrontLoops loops, std::size_t own, FrontPeers& peers)
    : loops_(std::move(loops)), own_(own), peers_(peers) {}

template <typename T>
Done<T> LoopNeighbours::answered_here(Done<T> done) {
  return [this, done = std::move(done)](Result<T> answer) mutable {
    loops_.post(own_, [done = std::move(done), answer = std::move(answer)](Broker&) mutable {
      done(std::move(answer));
    });
  };
}

void LoopNeighbours::deliver(const SessionKey& key, Parcel parcel, Done<Outcome> done) {
  if (away_ >= kMaxAway) {
    peers_.count_loop_full();
    Done<Outcome> answer = answered_here(std::move(done));
    return answer(fail(Error(ErrorCode::kResourceExhausted, "too much waits for the other loops")
                           .with_reason("loop_full")));
  }
  ++away_;
  Done<Outcome> back =
      answered_here<Outcome>([this, done = std::move(done)](Result<Outcome> outcome) mutable {
        --away_;
        done(std::move(outcome));
      });
  loops_.post(loops_.owner_of(key),
              [key, parcel = std::move(parcel), back = std::move(back)](Broker& broker) mutable {
                broker.deliver(key, std::move(parcel), std::move(back));
              });
}

void LoopNeighbours::forward(const SessionStore::Owned& owner, const SessionKey& key, Parcel parcel,
                             Done<Outcome> done) {
  peers_.deliver(owner.address, key, parcel, answered_here(std::move(done)));
}

void LoopNeighbours::release(const SessionStore::Owned& owner, const SessionKey& key,
                             Done<void> done) {
  peers_.release(owner.address, key, owner.epoch, answered_here(std::move(done)));
}

void LoopNeighbours::reset_profile(Done<void> done) {
  struct Call {
    Done<void> done;
    std::size_t outstanding = 1;  // one for this loop, which is still asking
  };
  // Shared by the answers, all of which come on this loop.
  const auto call = std::make_shared<Call>(Call{.done = std::move(done)});
  const auto answered = [call](Result<>) {
    if (--call->outstanding == 0) call->done({});
  };
  for (std::size_t loop = 0; loop < loops_.size(); ++loop) {
    if (loop == own_) continue;
    ++call->outstanding;
    loops_.post(loop, [back = answered_here<void>(answered)](Broker& broker) mutable {
      broker.reset_profile(nullptr);
      back({});
    });
  }
  loops_.post(own_, [answered](Broker&) { answered({}); });
}

}  // namespace sluice::front
