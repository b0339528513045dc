#pragma once

#include "fleet/traffic.h"
#include "network/stream.h"
#include "world/world.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <sluice/mqtt/decoder.h>
#include <sluice/mqtt/encoder.h>

namespace sluice::simulation {

/// Where devices connect to.
class FrontDoor {
 public:
  /// False: nobody listens.
  virtual bool accept(StreamPtr stream) = 0;

 protected:
  ~FrontDoor() = default;
};

/// Told what devices see, and what is sent to them at the moment it is.
class DeviceObserver {
 public:
  /// The front says that it answers for this message from now on.
  virtual void on_acknowledging(Said said) = 0;
  virtual void on_acknowledged(Said said) = 0;
  /// What must be refused was not.
  virtual void on_trespass(std::uint32_t device, std::string_view what) = 0;
  virtual void on_command(std::uint32_t device, std::string_view topic,
                          std::string_view payload) = 0;

 protected:
  ~DeviceObserver() = default;
};

/// One device: publishes in the order of its numbers, sends again what was not acknowledged after
/// each reconnect, listens to its commands. The first one also tries what it may not.
class Device final : private Stream::End {
 public:
  Device(World& world, const Traffic& traffic, std::uint32_t index, FrontDoor& door,
         DeviceObserver& observer);

  void start();
  /// All was said and answered.
  bool is_done() const;
  /// Loses what it has of its connection.
  void cut();

 private:
  /// Something that awaits an answer.
  struct Pending {
    std::uint16_t packet_id = 0;
    std::optional<Said> said;  // nullopt: something that it may not say
    mqtt::Qos qos = mqtt::Qos::kAtLeastOnce;
    std::string topic;
    std::string payload;
    bool is_received = false;  // PUBREC came: only PUBREL is left to be answered
  };
  /// Due, and not said yet.
  struct Due {
    Said said;
    bool is_buffered = false;
  };

  void on_bytes(std::span<const std::byte> bytes) override;
  void on_gone(std::string_view reason) override;
  void look_ahead(std::span<const std::byte> bytes);

  void connect();
  void on_connack(const mqtt::Connack& connack);
  void on_frame(const mqtt::Frame& frame);
  void on_ack(const mqtt::Ack& ack);
  void on_publish(const mqtt::Publish& publish);
  void resend(bool session_present);
  void subscribe();
  void make_next();
  void say();
  void trespass();
  void publish(const Pending& pending, bool is_dup);
  void publish_new(Pending pending);
  void send_ack(mqtt::PacketType type, std::uint16_t packet_id);
  void send();
  Pending* find(std::uint16_t packet_id);
  std::uint16_t next_packet_id();

  World& world_;
  const Traffic& traffic_;
  const std::uint32_t index_;
  FrontDoor& door_;
  DeviceObserver& observer_;
  const mqtt::Version version_;
  const bool is_clean_;
  const bool trespasses_;

  StreamPtr stream_;
  bool is_accepted_ = false;
  std::vector<std::byte> unread_;
  mqtt::Output output_;
  std::deque<Due> due_;
  std::vector<Pending> pending_;  // in the order in which it was first said
  std::uint32_t next_ = 0;        // number of the next message to be made
  std::uint16_t last_packet_id_ = 0;
  std::uint16_t trespass_subscribe_id_ = 0;
  std::uint64_t connects_ = 0;
  int failures_ = 0;  // to connect, in a row
};

}  // namespace sluice::simulation
