#include "held.h"

#include <algorithm>
#include <utility>

namespace sluice::load {

namespace {

constexpr std::chrono::nanoseconds kEvery = std::chrono::seconds(1);

}  // namespace

Held::Held(swarm::Loop& loop, Tally& tally, const Group::Options& group, std::uint32_t pinging)
    : Group(loop, tally, group), asked_(std::min(pinging, group.count)) {
  mqtt::encode_pingreq(ping_);
}

void Held::begin() {
  began_ = loop().now();
  next_ = 0;
}

MonoTime Held::due(std::uint64_t ping) const {
  return began_ +
         kEvery * static_cast<std::int64_t>(ping) / static_cast<std::int64_t>(asked_.size());
}

void Held::pump() {
  if (asked_.empty()) return;
  for (const MonoTime now = loop().now(); due(next_) <= now; ++next_) {
    const std::size_t place = next_ % asked_.size();
    swarm::Connection& connection = places()[place];
    // Who still waits for the last one's answer keeps waiting for that.
    if (asked_[place] != MonoTime{} || connection.state() != swarm::Connection::State::kOpen)
      continue;
    asked_[place] = due(next_);
    ++unanswered_;
    loop().send(connection, ping_);
  }
}

void Held::on_lost(swarm::Connection& connection) {
  if (connection.slot >= asked_.size()) return;
  if (std::exchange(asked_[connection.slot], MonoTime{}) == MonoTime{}) return;
  --unanswered_;
  tally().failed("ping_unanswered");
}

void Held::on_frame(swarm::Connection& connection, const mqtt::Frame& frame) {
  const bool is_pong = frame.type == mqtt::PacketType::kPingresp &&
                       connection.slot < asked_.size() && asked_[connection.slot] != MonoTime{};
  if (!is_pong) return Group::on_frame(connection, frame);
  --unanswered_;
  tally().pinging.record(loop().now() - std::exchange(asked_[connection.slot], MonoTime{}));
}

void Held::give_up() {
  tally().failed("ping_unanswered", unanswered_);
  std::ranges::fill(asked_, MonoTime{});
  unanswered_ = 0;
}

}  // namespace sluice::load
