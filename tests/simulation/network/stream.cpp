#include "network/stream.h"

#include <algorithm>
#include <utility>

namespace sluice::simulation {

void Stream::send(Side from, std::span<const std::byte> bytes) {
  if (at(from).watcher) at(from).watcher(bytes);
  if (!is_open_) return;
  world_.trace.note("{} sends {} bytes on {}", from == Side::kDevice ? "device" : "front",
                    bytes.size(), number_);
  // A third of all is torn into pieces: packets are not what TCP hands over.
  while (!bytes.empty()) {
    std::size_t size = bytes.size();
    if (size > 1 && world_.random.below(3) == 0) size = 1 + world_.random.below(size - 1);
    auto piece = std::make_shared<std::vector<std::byte>>(
        bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    bytes = bytes.subspan(size);
    const Side to = other(from);
    deliver(to, [this, to, piece] {
      if (End* const end = at(to).end; end != nullptr) end->on_bytes(*piece);
    });
  }
  if (world_.strikes(Fault::kLoss, 0.002)) cut();
}

void Stream::deliver(Side to, std::function<void()> action) {
  Half& half = at(to);
  const MonoTime now = world_.clock.mono();
  half.last_arrival = std::max(half.last_arrival, now + world_.hop());
  world_.after(half.last_arrival - now, [self = shared_from_this(), action = std::move(action)] {
    if (self->is_open_) action();
  });
}

void Stream::close(Side from) {
  at(from).end = nullptr;
  const Side to = other(from);
  deliver(to, [this, to] {
    is_open_ = false;
    tell(to, "closed");
  });
}

void Stream::cut() {
  if (!std::exchange(is_open_, false)) return;
  world_.trace.note("cut");
  for (const Side side : {Side::kDevice, Side::kFront}) {
    world_.after(world_.hop(), [self = shared_from_this(), side] { self->tell(side, "lost"); });
  }
}

void Stream::drop(Side side) {
  at(side).end = nullptr;
  if (!std::exchange(is_open_, false)) return;
  world_.after(world_.hop(),
               [self = shared_from_this(), side] { self->tell(other(side), "reset"); });
}

void Stream::tell(Side side, std::string_view reason) {
  if (End* const end = std::exchange(at(side).end, nullptr); end != nullptr) end->on_gone(reason);
}

}  // namespace sluice::simulation
