#pragma once

#include "testing/fake_ports.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/metrics/metrics.h>
#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

/// One loop's broker on fakes, and clients that speak MQTT to it.
namespace sluice::front::testing {

class TestFront;

/// A client and the stream it has to the broker. Speaks bytes, so that what is tested is what a
/// device would see.
class TestClient final : public Link {
 public:
  explicit TestClient(TestFront& front, Peer peer = {.address = "192.0.2.1"});
  ~TestClient() override;
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  /// Sends CONNECT with what is in `hello`, then lets everything happen.
  TestClient& connect(std::string_view client_id);
  TestClient& connect();
  /// The same, but whoever is asked does not answer yet: front.tasks has the next steps.
  void send_connect();
  TestClient& publish(std::string_view topic, std::string_view payload, mqtt::Qos qos,
                      std::uint16_t packet_id = 0, bool retain = false);
  TestClient& publish(const mqtt::Publish& publish);
  TestClient& subscribe(std::string_view filter, mqtt::Qos qos = mqtt::Qos::kAtLeastOnce);
  TestClient& subscribe(std::vector<mqtt::Subscription> subscriptions, std::uint32_t id = 0);
  TestClient& unsubscribe(std::string_view filter);
  TestClient& acknowledge(mqtt::PacketType type, std::uint16_t packet_id);
  void disconnect(mqtt::ReasonCode reason = mqtt::ReasonCode::kSuccess,
                  std::optional<std::uint32_t> session_expiry_seconds = {});
  /// The stream breaks.
  void lose();
  void send(const mqtt::Output& bytes);

  /// "connack 0x00 present", "puback 7 0x97", "publish t q1 #1 retain dup ids=1,2 'payload'": what
  /// came since the last look.
  std::vector<std::string> received();
  bool is_closed() const { return is_closed_; }
  bool is_sending() const { return client_ != nullptr; }
  Client& client() { return *client_; }
  std::optional<MonoTime> paused_until() const { return paused_until_; }

  mqtt::Connect hello{};
  /// Reads nothing: the output grows.
  bool is_slow = false;
  /// Its shell has taken some of the output and could not send it.
  bool has_framed = false;
  std::optional<std::size_t> moves_to{};

  // Link
  void send_soon() override { has_output_ = true; }
  void close_soon() override { closes_ = true; }
  bool has_unsent() const override { return has_framed; }
  void read_again() override {}
  void pause_until(MonoTime time) override { paused_until_ = time; }
  void move_soon(std::size_t loop) override { moves_to = loop; }

  /// What a shell does at the end of a loop's turn.
  void turn();
  /// Hands the client to another front's loop, as a shell does after move_soon().
  void move_to(TestFront& other);

 private:
  void take_output();

  TestFront* front_;
  Client* client_;
  mqtt::Version version_ = mqtt::Version::kV5;
  mqtt::Output unread_{};  // by the broker
  mqtt::Output received_{};
  std::optional<MonoTime> paused_until_{};
  std::uint16_t next_packet_id_ = 100;
  bool has_output_ = false;
  bool closes_ = false;
  bool is_closed_ = false;
};

class TestFront {
 public:
  struct Setup {
    bool is_durable = false;
    Rate client_connects{1000, 1000};
    std::uint32_t flapping_disconnects = 0;
    std::size_t loop = 0;
    std::size_t loops = 1;
  };
  TestFront() : TestFront(Options{}) {}
  explicit TestFront(Options o) : TestFront(std::move(o), Setup()) {}
  TestFront(Options o, Setup setup);
  ~TestFront();

  /// A device that the registry knows: it may do on its own topics what devices may, and what
  /// `rules` add.
  void add_device(const std::string& device, const std::vector<AccessRule>& rules = {},
                  const DeviceLimits& limits = {});
  /// The registry says that the device may not be connected any more.
  void revoke(const std::string& device);
  /// Lets all answers come and all output leave.
  void settle();
  /// Kafka answers for all records it was given and has not answered yet.
  void complete(bool is_stored = true);
  void complete_one(std::size_t index, bool is_stored = true);

  /// Dropped messages by reason.
  std::uint64_t dropped(const std::string& reason);
  static std::string own(std::string_view device, std::string_view suffix);

  sluice::testing::SimClock clock{};
  sluice::testing::SimRandom random{7};
  Registry registry{};
  Tasks tasks{};
  FakeSink sink{};
  FakeAuthenticator authenticator{tasks};
  FakeStore store{tasks};
  FakeNeighbours neighbours{tasks};
  FakeObserver observer{};
  FrontMetrics metrics{registry};
  ingest::TopicMap topics{};
  Routes routes{1000, random};
  RetainedMessages retained{{.max_messages = 4}, random};
  TenantBucketTable tenant_buckets{};
  TenantLimits::Settings tenant_limits{};
  ConnectionAdmission admission;
  Options options;
  std::unique_ptr<Broker> broker;

 private:
  friend class TestClient;
  std::vector<TestClient*> clients_{};
};

}  // namespace sluice::front::testing
