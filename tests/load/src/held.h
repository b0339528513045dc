#pragma once

#include "group.h"

#include <cstdint>
#include <vector>

namespace sluice::load {

/// Clients that are held, some of which show that they live: they ping once a second each, evenly
/// spread over it.
class Held final : public Group {
 public:
  /// The first `pinging` of the group's clients ping.
  Held(swarm::Loop& loop, Tally& tally, const Group::Options& group, std::uint32_t pinging);

  /// From now on.
  void begin();
  /// Sends what is due; to be called between polls.
  void pump();
  /// Pings without an answer so far.
  std::uint32_t unanswered() const { return unanswered_; }
  /// What was not answered counts as failed from here on.
  void give_up();

 private:
  void on_lost(swarm::Connection& connection) override;
  void on_frame(swarm::Connection& connection, const mqtt::Frame& frame) override;
  MonoTime due(std::uint64_t ping) const;

  std::vector<MonoTime> asked_;  // by place, of those that ping: when the answer fell due
  mqtt::Output ping_;
  MonoTime began_{};
  std::uint64_t next_ = 0;  // pings since began_
  std::uint32_t unanswered_ = 0;
};

}  // namespace sluice::load
