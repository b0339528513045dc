// Devices that publish, lose their connection and come again, at random, while the store comes and
// goes, against what they were promised: an acknowledgement means that Kafka has the message, QoS 2
// that it has it once, and what a device sends first is there first.
#include "testing/test_front.h"

#include <algorithm>
#include <map>
#include <set>

#include <sluice/telemetry/v1/raw_message.pb.h>

#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using mqtt::PacketType;
using mqtt::Qos;

/// A device that keeps to the protocol: sends again what was not acknowledged, in order.
class Device {
 public:
  Device(TestFront& front, std::string name) : front_(front), name_(std::move(name)) {
    front.add_device(name_);
    topic_ = TestFront::own(name_, "telemetry");
  }

  void connect() {
    auto next = std::make_unique<TestClient>(front_);
    next->hello.clean_start = false;
    next->hello.session_expiry_seconds = 100;
    next->hello.client_id = name_;
    next->send_connect();
    client_ = std::move(next);  // the last one is lost
    is_open_ = false;
  }
  void lose() { client_.reset(), is_open_ = false; }

  void publish(Qos qos) {
    if (!is_open_ || under_way_.size() >= 20) return;
    const auto id = static_cast<std::uint16_t>(next_id_++);
    under_way_.push_back({.id = id, .qos = qos, .payload = std::to_string(++number_)});
    send(under_way_.back(), false);
  }

  /// Reads what came and checks it against what Kafka has.
  void look(const std::set<std::string>& stored) {
    if (!client_) return;
    for (const std::string& packet : client_->received()) {
      const auto blank = packet.find(' ');
      const std::string type = packet.substr(0, blank);
      if (type == "connack") {
        if (!packet.starts_with("connack 0x00")) continue;  // the store is away
        is_open_ = true;
        const std::vector<Message> again = under_way_;
        for (const Message& message : again) send(message, true);
        continue;
      }
      const int id = std::atoi(packet.c_str() + blank);
      const auto found = std::ranges::find(under_way_, id, &Message::id);
      if (found == under_way_.end()) continue;
      if (type == "puback" || type == "pubrec") {
        EXPECT_TRUE(stored.contains(name_ + " " + found->payload)) << packet << " of " << name_;
      }
      if (type == "pubrec") {
        found->is_released = true;
        client_->acknowledge(PacketType::kPubrel, found->id);
      } else {
        under_way_.erase(found);
      }
    }
    if (client_->is_closed()) lose();
  }

  int published() const { return number_; }
  bool is_done() const { return under_way_.empty(); }
  bool is_connected() const { return client_ != nullptr; }

 private:
  struct Message {
    std::uint16_t id = 0;
    Qos qos{};
    std::string payload{};
    bool is_released = false;
  };
  void send(const Message& message, bool dup) {
    if (message.is_released) {
      client_->acknowledge(PacketType::kPubrel, message.id);
      return;
    }
    client_->publish({.topic = topic_,
                      .payload = std::as_bytes(std::span(message.payload)),
                      .qos = message.qos,
                      .dup = dup,
                      .packet_id = message.id});
  }

  TestFront& front_;
  std::string name_;
  std::string topic_{};
  std::unique_ptr<TestClient> client_{};
  std::vector<Message> under_way_{};
  int next_id_ = 1;
  int number_ = 0;
  bool is_open_ = false;
};

class World {
 public:
  World(std::uint64_t seed, bool is_durable)
      : random_(seed), front_({}, {.is_durable = is_durable}) {
    for (const char* name : {"d1", "d2", "d3"}) devices_.emplace_back(front_, name);
  }

  void act() {
    Device& device = devices_[random_.below(devices_.size())];
    if (!device.is_connected()) device.connect();
    const std::uint64_t act = random_.below(44);
    if (act == 0) {
      device.connect();
    } else if (act == 1) {
      device.lose();
    } else if (act < 10) {
      device.publish(Qos::kAtLeastOnce);
    } else if (act < 20) {
      device.publish(Qos::kExactlyOnce);
    } else if (act == 20) {
      front_.sink.room = random_.below(4);
    } else if (act < 24) {
      front_.sink.room += random_.below(4);
      front_.broker->retry_records();
    } else if (act < 32) {
      complete(next_unanswered());
    } else if (act == 32) {
      complete(random_.below(front_.sink.records.size() + 1));
    } else if (act == 33) {
      take_store_away();
    } else if (act < 36) {
      front_.store.failures.clear();
    } else {
      for (std::uint64_t i = random_.below(8); i > 0; --i) front_.tasks.run_one();
      front_.clock.advance(Broker::kDueInterval);
      front_.broker->run_due();
    }
    look();
  }

  /// How many records there are in the end.
  std::size_t finish() {
    front_.sink.room = 1'000'000;
    front_.store.failures.clear();
    for (int round = 0; round < 20; ++round) {
      for (Device& device : devices_) {
        if (!device.is_connected()) device.connect();
      }
      front_.broker->retry_records();
      front_.clock.advance(Broker::kDueInterval);
      front_.settle();
      for (std::size_t i = 0; i < front_.sink.records.size(); ++i) complete(i);
      front_.settle();
      look();
    }
    check();
    return front_.sink.records.size();
  }

 private:
  static std::string payload_of(const FakeSink::Taken& record) {
    telemetry::v1::RawMessage raw;
    EXPECT_TRUE(raw.ParseFromString(record.value));
    return raw.device() + " " + raw.payload() + (raw.qos() == 2 ? " q2" : "");
  }
  /// Sometimes it does what it is asked, and only its answers are lost.
  void take_store_away() {
    if (!front_.store.durable) return;  // one in memory is always there
    front_.store.does_what_fails = random_.below(2) == 0;
    for (const char* call : {"claim", "release", "put_inbound", "remove_inbound"}) {
      front_.store.failures.emplace(call, Error(ErrorCode::kUnavailable, "no store"));
    }
  }
  std::size_t next_unanswered() const {
    const auto& records = front_.sink.records;
    const auto found = std::ranges::find(records, false, &FakeSink::Taken::is_answered);
    return static_cast<std::size_t>(found - records.begin());
  }
  void complete(std::size_t index) {
    if (index >= front_.sink.records.size()) return;
    const std::string payload = payload_of(front_.sink.records[index]);
    stored_.insert(payload.substr(0, payload.find(" q2")));
    front_.complete_one(index);
  }
  void look() {
    for (Device& device : devices_) device.look(stored_);
  }
  void check() {
    std::map<std::string, int> times;
    std::map<std::string, int> last;
    for (const auto& record : front_.sink.records) {
      const std::string payload = payload_of(record);
      if (++times[payload] > 1) {
        EXPECT_FALSE(payload.ends_with(" q2")) << payload << " is there twice";
        continue;
      }
      const std::string device = payload.substr(0, 2);
      const int number = std::atoi(payload.c_str() + 3);
      EXPECT_EQ(number, last[device] + 1) << device << ": out of order";
      last[device] = number;
    }
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      EXPECT_TRUE(devices_[i].is_done()) << "never acknowledged";
      EXPECT_EQ(last["d" + std::to_string(i + 1)], devices_[i].published());
    }
  }

  sluice::testing::SimRandom random_;
  TestFront front_;
  std::vector<Device> devices_{};
  std::set<std::string> stored_{};
};

class BrokerModel : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Store, BrokerModel, ::testing::Bool(), [](const auto& parameter) {
  return parameter.param ? "Durable" : "OfTheProcess";
});

TEST_P(BrokerModel, KeepsItsPromises) {
  for (std::uint64_t seed = 1; seed <= 60 && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    World world(seed, GetParam());
    for (int step = 0; step < 400; ++step) world.act();
    EXPECT_GT(world.finish(), 20U) << "it did next to nothing";
  }
}

}  // namespace
}  // namespace sluice::front::testing
