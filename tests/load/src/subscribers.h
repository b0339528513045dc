#pragma once

#include "group.h"

#include <cstdint>
#include <string>

namespace sluice::load {

/// Clients that subscribe to one filter, acknowledge what comes and measure how long it took.
class Subscribers final : public Group {
 public:
  Subscribers(swarm::Loop& loop, Tally& tally, const Group::Options& group, std::string filter,
              mqtt::Qos qos);

  /// Subscriptions the server has granted.
  std::uint32_t granted() const { return granted_; }

 private:
  void on_ready(swarm::Connection& connection) override;
  void on_lost(swarm::Connection& connection) override;
  void on_frame(swarm::Connection& connection, const mqtt::Frame& frame) override;
  void on_read_done(swarm::Connection& connection) override;
  void on_suback(const mqtt::Frame& frame);
  void on_publish(const mqtt::Frame& frame);

  std::string filter_;
  mqtt::Qos qos_;
  mqtt::Output answers_;  // of the read under way
  std::uint32_t granted_ = 0;
};

}  // namespace sluice::load
