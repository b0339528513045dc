#include "group.h"

#include <algorithm>
#include <format>

namespace sluice::load {

Group::Group(swarm::Loop& loop, Tally& tally, const Options& options)
    : loop_(&loop),
      tally_(&tally),
      options_(options),
      places_(options.churns ? std::min(options.inflight, options.count) : options.count),
      is_ready_(places_.size(), false) {
  for (std::uint32_t place = 0; place < places_.size(); ++place) {
    places_[place].slot = place;
    waiting_.push_back({place, {}});
  }
}

Group::~Group() {
  for (swarm::Connection& connection : places_) loop_->drop(connection);
}

void Group::tick() {
  if (waiting_.empty()) return;
  const MonoTime now = loop_->now();
  // Those that fail at once go to the end of the queue; each is tried no more than once a call.
  for (auto tries = waiting_.size(); tries > 0 && under_way_ < options_.inflight; --tries) {
    const Waiting next = waiting_.front();
    if (next.due > now) return;
    waiting_.pop_front();
    if (options_.churns && started_ == options_.count) continue;  // the place is needed no more
    ++under_way_;
    const std::uint32_t offset = options_.churns ? started_++ : next.place;
    loop_->open(places_[next.place], *this, options_.first + offset);
  }
}

void Group::on_open(swarm::Connection& connection) {
  tally_->connecting.record(loop_->now() - connection.began());
  ++tally_->opened;
  if (connection.was_resumed()) ++tally_->resumed;
  --under_way_;
  if (options_.churns) {
    loop_->disconnect(connection);
    waiting_.push_back({connection.slot, {}});
    return;
  }
  ++open_;
  is_ready_[connection.slot] = true;
  on_ready(connection);
}

void Group::on_frame(swarm::Connection&, const mqtt::Frame& frame) {
  tally_->inconsistent(std::format("unasked_{}", to_string(frame.type)));
}

void Group::on_end(swarm::Connection& connection, std::string_view reason) {
  const bool was_ready = is_ready_[connection.slot];
  tally_->failed(was_ready ? std::format("lost_{}", reason) : std::string(reason));
  is_ready_[connection.slot] = false;
  if (was_ready) {
    --open_;
    on_lost(connection);
  } else {
    --under_way_;
  }
  if (options_.churns) {
    waiting_.push_back({connection.slot, {}});
  } else if (options_.retries) {
    waiting_.push_back({connection.slot, loop_->now() + options_.retry_after});
  }
}

void Group::drop_all() {
  const MonoTime now = loop_->now();
  for (swarm::Connection& connection : places_) {
    if (!is_ready_[connection.slot]) continue;
    loop_->drop(connection);
    is_ready_[connection.slot] = false;
    --open_;
    on_lost(connection);
    waiting_.push_back({connection.slot, now});
  }
}

}  // namespace sluice::load
