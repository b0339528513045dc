// A client of random behaviour against the engine: reconnects, losses, repeated publishes, late and
// reordered answers. Both ends are checked against what the specification promises.
#include "testing_connection.h"
#include "testing_random.h"

#include <deque>
#include <map>
#include <set>

#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

constexpr std::uint16_t kReceiveMaximum = 4;  // of the client

/// Remembers publishes until the test finishes them.
class Keeper : public Server {
 public:
  struct Kept {
    PublishId id;
    Qos qos;
    int number;
  };
  std::vector<Kept> kept;
  std::map<int, int> stored;  // QoS 2 messages, by how often they were

  void on_publish(const Publish& publish, PublishId id) override {
    kept.push_back({.id = id, .qos = publish.qos, .number = std::stoi(text_of(publish.payload))});
  }
  void finish(std::size_t index, ReasonCode reason) {
    const Kept publish = kept[index];
    kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(index));
    if (publish.qos == Qos::kExactlyOnce && !is_failure(reason)) ++stored[publish.number];
    done_with(publish.id, reason);
  }
};

class World {
 public:
  World(std::uint64_t seed, Version version) : random_(seed), version_(version) { connect(); }

  void run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFailure(); ++step) act();
    settle();
  }

 private:
  /// A message of the client on its way.
  struct Outgoing {
    std::uint16_t packet_id;
    Qos qos;
    int number;
    bool is_released = false;
  };

  void act() {
    switch (random_.below(12)) {
      case 0:
      case 1:
        return publish();
      case 2:
        return repeat();
      case 3:
      case 4:
        if (!server_.kept.empty()) finish(random_.below(server_.kept.size()));
        return;
      case 5:
      case 6:
        return enqueue();
      case 7:
        server_.deliver(random_.below(200));
        return;
      case 8:
      case 9:
        return read();
      case 10:
        return answer();
      default:
        if (random_.below(8) == 0) reconnect();
    }
  }

  void connect() {
    server_.limits.send_maximum = kReceiveMaximum;  // MQTT 3 has no word for it
    server_.reconnect({.version = version_,
                       .clean_start = false,
                       .client_id = "c",
                       .receive_maximum = kReceiveMaximum});
    // In order, with the packet ids they had, [MQTT5-4.4.0-1]; DUP is of no account.
    for (const Outgoing& message : outgoing_) {
      if (message.is_released) {
        server_.give_ack(PacketType::kPubrel, message.packet_id);
      } else {
        give(message);
      }
    }
  }

  /// What was under way on the connection is lost, in both directions.
  void reconnect() {
    server_.connection.disconnect(ReasonCode::kServerBusy, {}, {}, server_.out);
    while (!server_.kept.empty()) finish(random_.below(server_.kept.size()));
    server_.out.clear();
    expected_.clear();
    answers_.clear();
    unacknowledged_.clear();
    last_number_ = 0;
    connect();
  }

  void give(const Outgoing& message) {
    expected_.emplace_back(
        message.qos == Qos::kExactlyOnce ? PacketType::kPubrec : PacketType::kPuback,
        message.packet_id);
    server_.give_publish(message.packet_id, message.qos, random_.below(2) == 0,
                         std::to_string(message.number));
    ASSERT_EQ(server_.connection.state(), Connection::State::kOpen);
  }

  void publish() {
    const auto id = static_cast<std::uint16_t>(1 + random_.below(30));
    const bool is_used = std::ranges::contains(outgoing_, id, &Outgoing::packet_id) ||
                         std::ranges::contains(expected_, id, &Expected::second);
    if (is_used || outgoing_.size() >= 15) return;
    outgoing_.push_back({.packet_id = id,
                         .qos = random_.below(2) == 0 ? Qos::kAtLeastOnce : Qos::kExactlyOnce,
                         .number = ++numbers_});
    give(outgoing_.back());
  }

  /// MQTT 3 clients may; those of MQTT 5 only after a reconnect, [MQTT5-4.4.0-1].
  void repeat() {
    if (version_ == Version::kV5) return;
    if (outgoing_.empty() || expected_.size() >= 20) return;
    const Outgoing message = outgoing_[random_.below(outgoing_.size())];
    if (message.qos == Qos::kExactlyOnce && !message.is_released) give(message);
  }

  void finish(std::size_t index) {
    const bool is_refused = version_ == Version::kV5 && random_.below(5) == 0;
    server_.finish(index, is_refused ? ReasonCode::kQuotaExceeded : ReasonCode::kSuccess);
  }

  void enqueue() {
    const auto qos = static_cast<Qos>(random_.below(3));
    auto message = delivery("t", std::to_string(++numbers_), qos);
    if (server_.session.enqueue(message) == Session::Queued::kQueued)
      accepted_.insert(message.sequence);
  }

  /// The client sends one of the acknowledgements it owes, in any order.
  void answer() {
    if (answers_.empty()) return;
    const std::size_t index = random_.below(answers_.size());
    const auto [type, id] = answers_[index];
    answers_.erase(answers_.begin() + static_cast<std::ptrdiff_t>(index));
    if (type == PacketType::kPuback || type == PacketType::kPubcomp) unacknowledged_.erase(id);
    server_.give_ack(type, id);
  }

  /// The client reads all that was sent to it.
  void read() {
    const Output bytes = std::exchange(server_.out, {});
    for (std::span<const std::byte> rest = bytes; !rest.empty();) {
      const auto frame = **next_frame(rest, kAnySize);
      rest = rest.subspan(frame.size);
      if (frame.type == PacketType::kPublish) {
        read_publish(decode_publish(frame, version_).value());
      } else {
        read_ack(decode_ack(frame, version_).value());
      }
    }
    for (const Delivery& ended : std::exchange(server_.done, {})) {
      EXPECT_EQ(accepted_.erase(ended.sequence), 1U) << "ended twice: " << ended.sequence;
    }
  }

  void read_publish(const Publish& publish) {
    if (publish.qos == Qos::kAtMostOnce) return;
    const int number = std::stoi(text_of(publish.payload));
    EXPECT_GT(number, last_number_) << "out of order";
    last_number_ = number;
    EXPECT_TRUE(unacknowledged_.insert(publish.packet_id).second) << "packet id in use";
    EXPECT_LE(unacknowledged_.size(), kReceiveMaximum);
    const bool is_known = received_.contains(publish.packet_id);
    if (is_known) {
      EXPECT_EQ(received_[publish.packet_id], number) << "packet id of another message";
      EXPECT_TRUE(publish.dup);
    }
    if (publish.qos == Qos::kAtLeastOnce) {
      answers_.emplace_back(PacketType::kPuback, publish.packet_id);
      return;
    }
    if (!is_known) {
      EXPECT_TRUE(taken_.insert(number).second) << "QoS 2 message twice: " << number;
    }
    received_[publish.packet_id] = number;
    answers_.emplace_back(PacketType::kPubrec, publish.packet_id);
  }

  void read_ack(const Ack& ack) {
    if (ack.type == PacketType::kPubrel) {
      received_.erase(ack.packet_id);
      unacknowledged_.insert(ack.packet_id);  // it may be of an earlier connection
      answers_.emplace_back(PacketType::kPubcomp, ack.packet_id);
      return;
    }
    const auto message = std::ranges::find(outgoing_, ack.packet_id, &Outgoing::packet_id);
    if (ack.type != PacketType::kPubcomp) {
      ASSERT_FALSE(expected_.empty());
      EXPECT_EQ(expected_.front(), Expected(ack.type, ack.packet_id)) << "answers out of order";
      expected_.pop_front();
    }
    if (message == outgoing_.end()) return;  // the second answer to a repeated publish
    if (ack.type == PacketType::kPubrec && !is_failure(ack.reason)) {
      if (message->is_released) return;
      message->is_released = true;
      return server_.give_ack(PacketType::kPubrel, ack.packet_id);
    }
    if (ack.type == PacketType::kPubcomp) {
      EXPECT_EQ(server_.stored[message->number], 1) << "QoS 2 message " << message->number;
    }
    outgoing_.erase(message);
  }

  /// Everything comes to its end.
  void settle() {
    for (int i = 0; i < 2000 && !::testing::Test::HasFailure(); ++i) {
      while (!server_.kept.empty()) server_.finish(0, ReasonCode::kSuccess);
      server_.deliver();
      read();
      while (!answers_.empty()) answer();
    }
    EXPECT_TRUE(outgoing_.empty());
    EXPECT_TRUE(expected_.empty());
    EXPECT_TRUE(accepted_.empty());
    EXPECT_TRUE(received_.empty());
    EXPECT_TRUE(server_.session.is_idle());
    EXPECT_EQ(server_.session.queued_bytes(), 0U);
    for (const auto& [number, times] : server_.stored) EXPECT_EQ(times, 1) << number;
  }

  using Expected = std::pair<PacketType, std::uint16_t>;

  TestRandom random_;
  Version version_;
  Keeper server_;
  int numbers_ = 0;
  // The client's session.
  std::vector<Outgoing> outgoing_;
  std::map<std::uint16_t, int> received_;  // QoS 2, until PUBREL
  std::set<int> taken_;
  // The client's connection.
  std::deque<Expected> expected_;  // answers to its publishes
  std::vector<Expected> answers_;  // that it owes
  std::set<std::uint16_t> unacknowledged_;
  int last_number_ = 0;
  // The server's.
  std::set<std::uint64_t> accepted_;  // not ended yet
};

TEST(Model, HoldsForRandomClients) {
  for (const Version version : {Version::kV311, Version::kV5}) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
      SCOPED_TRACE(std::format("version {} seed {}", static_cast<int>(version), seed));
      World(seed, version).run(1500);
      ASSERT_FALSE(::testing::Test::HasFailure());
    }
  }
}

}  // namespace
}  // namespace sluice::mqtt
