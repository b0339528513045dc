// Members of a share group that come, go, end their sessions and lose them at random, against what
// a publisher was promised: what was taken at QoS 1 is acknowledged by somebody, what somebody
// acknowledged comes to nobody again, and at QoS 2 one session at most ever sees a message.
#include "testing/test_front.h"

#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using mqtt::PacketType;
using mqtt::Qos;

constexpr std::string_view kShare = "$share/g/tenant/blue/device/+/up/#";

struct Message {
  Qos qos{};
  std::set<std::string> seen_by{};  // sessions
  bool is_acknowledged = false;
};

/// What all members have seen, by payload; and what should not have been.
struct Ledger {
  std::map<std::string, Message> messages{};
  std::vector<std::string> violations{};

  void seen(const std::string& payload, const std::string& session) {
    Message& message = messages[payload];
    if (message.qos == Qos::kExactlyOnce) {
      message.seen_by.insert(session);
      if (message.seen_by.size() > 1) violations.push_back(payload + " was sent to two sessions");
    } else {
      const bool is_new = message.seen_by.insert(session).second;
      if (is_new && message.is_acknowledged) {
        violations.push_back(payload + " was sent again after its acknowledgement");
      }
    }
  }
};

class Member {
 public:
  Member(TestFront& front, Ledger& ledger, std::string name)
      : front_(&front), ledger_(&ledger), name_(std::move(name)) {
    front.add_device(
        name_, {{.action = AccessRule::Action::kSubscribe, .filter = "tenant/blue/device/+/up/#"}});
  }

  bool is_open() const { return client_ && !client_->is_closed() && client_->is_sending(); }
  void connect(bool is_clean, std::uint32_t expiry) {
    auto next = std::make_unique<TestClient>(*front_);
    next->hello.clean_start = is_clean;
    next->hello.session_expiry_seconds = expiry;
    next->connect(name_);
    if (client_) look();
    client_ = std::move(next);
    to_answer_.clear();
    look();
    if (is_open()) subscribe();
  }
  void subscribe() { client_->subscribe(kShare, Qos::kExactlyOnce); }
  void unsubscribe() { client_->unsubscribe(kShare); }
  void lose() {
    client_->turn();  // what was sent at QoS 2 and never came is nobody's, as it should be
    client_->lose();
  }
  void disconnect() { client_->disconnect(mqtt::ReasonCode::kSuccess, 0); }
  void kick() {
    front_->revoke(name_);
    // At QoS 1 the store has it until the other member's has: a clean start in between would give
    // it twice, as QoS 1 permits.
    front_->settle();
  }
  void expire() {
    const SessionKey key("blue/" + name_);
    const auto found = front_->store.entries.find(key);
    if (found != front_->store.entries.end() && !found->second.is_owned) front_->store.expire(key);
  }

  void look() {
    if (!client_) return;
    for (const std::string& packet : client_->received()) {
      if (packet == "connack 0x00") ++sessions_;
      if (!packet.starts_with("publish") && !packet.starts_with("pubrel")) continue;
      const bool is_release = packet.starts_with("pubrel");
      const auto hash = packet.find(is_release ? ' ' : '#');
      const int id = std::atoi(packet.c_str() + hash + 1);
      const auto quote = packet.find('\'');
      const std::string payload =
          is_release ? "" : packet.substr(quote + 1, packet.size() - quote - 2);
      if (!is_release) ledger_->seen(payload, name_ + "#" + std::to_string(sessions_));
      to_answer_.push_back({static_cast<std::uint16_t>(id), payload, is_release});
    }
  }
  void answer_one() {
    if (!is_open() || to_answer_.empty()) return;
    const Answer next = to_answer_.front();
    to_answer_.erase(to_answer_.begin());
    if (next.is_release) return void(client_->acknowledge(PacketType::kPubcomp, next.id));
    Message& message = ledger_->messages.at(next.payload);
    message.is_acknowledged = true;
    client_->acknowledge(
        message.qos == Qos::kExactlyOnce ? PacketType::kPubrec : PacketType::kPuback, next.id);
  }
  bool is_done() const { return to_answer_.empty(); }

 private:
  struct Answer {
    std::uint16_t id = 0;
    std::string payload{};
    bool is_release = false;
  };
  TestFront* front_;
  Ledger* ledger_;
  std::string name_;
  std::unique_ptr<TestClient> client_{};
  std::vector<Answer> to_answer_{};
  int sessions_ = 0;
};

class World {
 public:
  World(std::uint64_t seed, bool is_durable)
      : random_(seed), front_({.connection = {.send_maximum = 3}}, {.is_durable = is_durable}) {
    for (const char* name : {"d1", "d2", "d3", "d4"}) members_.emplace_back(front_, ledger_, name);
    members_[0].connect(true, 0);  // is always there, so that somebody is left
  }

  void act() {
    if (random_.below(3) == 0) publish();
    Member& member = members_[1 + random_.below(3)];
    if (!member.is_open()) {
      if (random_.below(3) == 0) member.expire();
      if (random_.below(2) == 0) member.connect(random_.below(3) == 0, expiry());
    } else {
      switch (random_.below(24)) {
        case 0:
          member.lose();
          break;
        case 1:
          member.disconnect();
          break;
        case 2:
          member.kick();
          break;
        case 3:
          member.unsubscribe();
          break;
        case 4:
          member.subscribe();
          break;
        case 5:
          member.connect(random_.below(2) == 0, expiry());
          break;
        default:
          member.answer_one();
      }
    }
    if (random_.below(4) == 0) members_[0].answer_one();
    if (random_.below(2) == 0) front_.settle();
    for (Member& one : members_) one.look();
  }

  /// Everything that was not kept.
  std::vector<std::string> finish() {
    for (std::size_t i = 1; i < members_.size(); ++i) {
      if (!members_[i].is_open()) members_[i].connect(false, 100);
    }
    for (int round = 0; round < 2000; ++round) {
      front_.settle();
      bool is_done = true;
      for (Member& member : members_) {
        member.look();
        is_done = is_done && member.is_done();
        member.answer_one();
      }
      if (is_done) break;
    }
    for (const auto& [payload, message] : ledger_.messages) {
      if (message.qos == Qos::kAtLeastOnce && !message.is_acknowledged) {
        ledger_.violations.push_back(payload + " was acknowledged by nobody");
      }
      if (message.seen_by.empty()) ledger_.violations.push_back(payload + " was seen by nobody");
    }
    for (const char* reason : {"shared_nobody_left", "shared_no_room", "shared_not_stored"}) {
      if (front_.dropped(reason) > 0)
        ledger_.violations.push_back("dropped: " + std::string(reason));
    }
    return ledger_.violations;
  }
  std::size_t published() const { return ledger_.messages.size(); }
  std::uint64_t given_on() { return front_.metrics.given_on.value(); }

 private:
  std::uint32_t expiry() { return random_.below(3) == 0 ? 0 : 50; }
  void publish() {
    const Qos qos = random_.below(2) == 0 ? Qos::kAtLeastOnce : Qos::kExactlyOnce;
    const std::string payload = "m" + std::to_string(ledger_.messages.size());
    ledger_.messages[payload].qos = qos;
    const auto message = std::make_shared<const mqtt::Message>(
        mqtt::Message{.topic = TestFront::own("d9", "up/x"), .payload = payload, .qos = qos});
    front_.broker->publish("blue", message, [](Result<FanOutCounts>) {});
  }

  sluice::testing::SimRandom random_;
  Ledger ledger_;
  TestFront front_;
  std::vector<Member> members_{};
};

class SharedModel : public ::testing::TestWithParam<bool> {
 protected:
  static std::vector<std::string> violations(std::uint64_t seeds) {
    std::vector<std::string> all;
    std::uint64_t given_on = 0;
    for (std::uint64_t seed = 1; seed <= seeds && all.empty(); ++seed) {
      World world(seed, GetParam());
      for (int step = 0; step < 300; ++step) world.act();
      for (const std::string& violation : world.finish()) {
        all.push_back("seed " + std::to_string(seed) + ": " + violation);
      }
      given_on += world.given_on();
      EXPECT_GT(world.published(), 50U) << "it did next to nothing";
    }
    EXPECT_GT(given_on, 0U);
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(Store, SharedModel, ::testing::Bool(), [](const auto& parameter) {
  return parameter.param ? "Durable" : "OfTheProcess";
});

TEST_P(SharedModel, KeepsItsPromises) { EXPECT_THAT(violations(60), ::testing::IsEmpty()); }

TEST_P(SharedModel, WouldNoticeALostMessage) {
  const ScopedPlantedBug bug("front_drops_shared_of_ended_session");
  std::vector<std::string> found;
  for (std::uint64_t seed = 1; seed <= 60 && found.empty(); ++seed) {
    World world(seed, GetParam());
    for (int step = 0; step < 300; ++step) world.act();
    found = world.finish();
  }
  EXPECT_THAT(found, ::testing::Contains(::testing::HasSubstr("by nobody")));
}

TEST_P(SharedModel, WouldNoticeAQos2MessageThatIsSentTwice) {
  const ScopedPlantedBug bug("mqtt_gives_on_sent_qos2");
  EXPECT_THAT(violations(60), ::testing::Contains(::testing::HasSubstr("two sessions")));
}

}  // namespace
}  // namespace sluice::front::testing
