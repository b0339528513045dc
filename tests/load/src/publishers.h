#pragma once

#include "clients.h"
#include "group.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace sluice::load {

struct PublishOptions {
  mqtt::Qos qos = mqtt::Qos::kAtLeastOnce;
  std::uint16_t window = 1;  // unanswered messages a client may have; QoS 0 has none
  std::uint32_t batch = 1;   // messages written at a time
  double rate = 0;           // messages per second of the whole group; 0: as fast as it goes
  const TextTemplate* topic = nullptr;
  std::string payload{};
  bool is_stamped = false;  // the payload is one of make_payload() and carries the time
};

/// Clients that publish. Allocates nothing per message: each client's packet is encoded once, and
/// then only its packet id and time change.
class Publishers final : public Group {
 public:
  static constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

  Publishers(swarm::Loop& loop, Tally& tally, const Clients& clients, const Group::Options& group,
             const PublishOptions& options);

  /// Starts the pace. The group should be settled.
  void begin(std::uint64_t count);
  /// Sends what is due and may be sent; to be called between polls.
  void pump();
  /// How long the loop may wait before the next pump().
  std::chrono::nanoseconds wait() const;
  /// Nothing more falls due. What did so is still to be sent, late as it is: what a slow server
  /// kept from being sent would else be missing in the latencies. Needs a rate.
  void stop();
  /// All is sent and answered, or no client is left.
  bool is_done() const;
  /// Asks the server for a sign of life behind everything that was sent: QoS 0 has no other end.
  void begin_flush();
  bool is_flushed() const { return pings_ == 0; }
  /// What was not sent and not answered counts as failed from here on.
  void give_up();

  /// Where latencies are counted from now on; at first that is Tally::answering.
  void record_in(swarm::Histogram& latencies) { latencies_ = &latencies; }

 private:
  enum class SlotState : std::uint8_t { kFree, kPublished, kReleased };
  struct Slot {
    MonoTime due{};
    SlotState state = SlotState::kFree;
  };
  struct Client {
    std::vector<std::byte> packet;
    std::vector<Slot> slots;          // by packet id - 1
    std::vector<std::uint16_t> free;  // packet ids that may be used
    std::uint32_t id_at = 0;
    std::uint32_t stamp_at = 0;
    bool is_queued = false;
    bool awaits_pong = false;
  };

  void on_ready(swarm::Connection& connection) override;
  void on_lost(swarm::Connection& connection) override;
  void on_frame(swarm::Connection& connection, const mqtt::Frame& frame) override;
  void on_read_done(swarm::Connection& connection) override;
  void on_writable(swarm::Connection& connection) override { enqueue(connection); }

  void on_ack(Client& client, const mqtt::Ack& ack);
  void finish(Client& client, std::uint16_t id, mqtt::ReasonCode reason);
  bool has_room(const swarm::Connection& connection) const;
  void send_batch(swarm::Connection& connection);
  MonoTime due(std::uint64_t message) const;
  void enqueue(swarm::Connection& connection);

  PublishOptions options_;
  std::vector<Client> clients_;      // by place
  std::vector<std::uint32_t> ring_;  // places with room, first in first out
  std::size_t ring_begin_ = 0;
  std::size_t ring_size_ = 0;
  std::vector<std::uint16_t> to_release_;  // PUBRECs of the read under way
  MonoTime began_{};
  std::uint64_t remaining_ = 0;
  std::uint64_t scheduled_ = 0;  // messages since began_
  std::uint64_t unanswered_ = 0;
  std::uint64_t pings_ = 0;
  swarm::Histogram* latencies_;
};

}  // namespace sluice::load
