#pragma once

#include "fleet.h"
#include "ledger.h"
#include "roster.h"
#include "routes.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/backoff.h>
#include <sluice/base/clock.h>
#include <sluice/mqtt/encoder.h>
#include <sluice/swarm/histogram.h>
#include <sluice/swarm/loop.h>

namespace sluice::sim {

/// How devices behave that is not a function of the message: see Fleet for that.
struct SimulationOptions {
  std::uint32_t window = 16;  // unanswered publishes of a device
  /// A device that waits longer for the answer to its oldest publish takes the server for dead and
  /// connects anew; 0: it waits for ever.
  std::chrono::milliseconds patience{0};
  /// Full jitter: see Backoff.
  Backoff::Policy reconnect{.base = std::chrono::milliseconds(500),
                            .cap = std::chrono::milliseconds(10'000)};
  /// All devices lose power together and come back, so often; 0: never.
  std::chrono::milliseconds storm_every{0};
};

/// What a simulation has counted so far.
struct Counts {
  std::uint64_t publishes = 0;      // packets, sent again included
  std::uint64_t acks = 0;           // messages: PUBACK, PUBREC
  std::uint64_t resent = 0;         // packets sent again after a reconnect
  std::uint64_t buffered = 0;       // messages made while the device was away
  std::uint64_t connects = 0;       // CONNACK
  std::uint64_t lost_sessions = 0;  // the server had forgotten a session that was there
  std::uint64_t storms = 0;
  std::uint32_t connected = 0;                                 // now
  std::uint64_t unanswered = 0;                                // now
  std::map<std::string, std::uint64_t, std::less<>> ends{};    // connections, by reason
  std::map<std::string, std::uint64_t, std::less<>> faults{};  // what no server may do
};

/// The devices of a fleet as MQTT clients on one loop. Each publishes its messages in the order of
/// their numbers, keeps at most a window of them unanswered, and sends again after a reconnect, in
/// order, what was not acknowledged: with DUP and the same packet id [MQTT-4.4.0-1]. What it makes
/// while it is away it publishes afterwards as buffered. Belongs to one thread.
class Simulation final : private swarm::Handler {
 public:
  /// All must outlive it. The ledger is written.
  Simulation(const SimulationOptions& options, const Fleet& fleet, const Roster& roster,
             const Routes& routes, const Clock& clock, Random& random, Ledger& ledger);
  ~Simulation() override;

  /// Handles what has happened and is due, waiting for it up to `wait`.
  void step(std::chrono::milliseconds wait);
  /// All devices that are connected lose power together and come back.
  void storm();
  /// No messages from those that are not due by now on, no absences, no storms.
  void begin_end();
  /// All that was published is acknowledged.
  bool is_settled() const;
  /// Says goodbye on every connection.
  void disconnect_all();

  const Counts& counts() const { return counts_; }
  /// Publish to PUBACK or PUBREC, of messages that were not sent again.
  const swarm::Histogram& answering() const { return answering_; }
  /// The same since the last call.
  swarm::Histogram take_recent() { return std::exchange(recent_, {}); }
  /// Told of each message that is acknowledged.
  std::function<void(std::uint32_t device, std::uint32_t sequence)> on_acknowledged;

 private:
  enum class State : std::uint8_t { kAway, kWaiting, kConnecting, kOnline };
  enum class Step : std::uint8_t { kPublished, kReleased };
  struct InFlight {
    std::uint32_t sequence;
    std::uint16_t packet_id;
    Step step;
    bool is_buffered;
    bool was_resent;
    MonoTime sent_at;
  };
  struct Device {
    Device(const Backoff::Policy& policy, Random& random) : backoff(policy, random) {}
    std::deque<InFlight> in_flight;
    std::string topic;
    Backoff backoff;
    Fleet::Time online_since{0};
    MonoTime wake_at = MonoTime::max();
    std::uint32_t next = 0;      // sequence
    std::uint32_t attempts = 0;  // to connect
    std::uint16_t last_packet_id = 0;
    State state = State::kAway;
    bool repeats_next = false;  // the next one was published once and is to be once more
    bool had_session = false;
  };

  void on_open(swarm::Connection& connection) override;
  void on_frame(swarm::Connection& connection, const mqtt::Frame& frame) override;
  void on_read_done(swarm::Connection& connection) override;
  void on_writable(swarm::Connection& connection) override;
  void on_end(swarm::Connection& connection, std::string_view reason) override;

  Fleet::Time now() const;
  MonoTime mono(Fleet::Time time) const;
  void wake(std::uint32_t device);
  void wake_at(std::uint32_t device, MonoTime when);
  void go_away(std::uint32_t device);
  void retry(std::uint32_t device);
  void publish_due(std::uint32_t device);
  void resend(std::uint32_t device);
  void on_ack(std::uint32_t device, const mqtt::Ack& ack);
  /// Closes without a word and comes back later.
  void abandon(std::uint32_t device, std::string_view reason);
  void lose_patience();
  void fault(std::string_view what) { ++counts_.faults[std::string(what)]; }
  bool is_offline(std::uint32_t device) const;
  void append_publish(std::uint32_t device, const InFlight& message, mqtt::Qos qos, bool is_dup,
                      mqtt::Output& out);
  std::uint16_t free_packet_id(Device& device) const;

  const SimulationOptions options_;
  const Fleet& fleet_;
  const Roster& roster_;
  const Routes& routes_;
  const Clock& clock_;
  Ledger& ledger_;
  const MonoTime began_;
  swarm::Loop loop_;
  std::vector<swarm::Connection> connections_;
  std::vector<Device> devices_;
  using Wake = std::pair<MonoTime, std::uint32_t>;
  std::priority_queue<Wake, std::vector<Wake>, std::greater<>> wakes_;  // stale ones included
  Fleet::Time next_storm_;
  MonoTime next_look_;                    // for devices whose patience is over
  Fleet::Time end_ = Fleet::Time::max();  // messages that are due later are not made
  mqtt::UserPropertyList buffered_property_;
  std::string payload_;
  mqtt::Output output_;
  mqtt::Output releases_;
  Counts counts_;
  swarm::Histogram answering_;
  swarm::Histogram recent_;
};

}  // namespace sluice::sim
