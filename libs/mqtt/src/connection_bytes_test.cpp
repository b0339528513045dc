// A row of packets cut, split and damaged at every place.
#include "testing_connection.h"

#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

/// A bit of everything that a client may say.
Output conversation(Version version) {
  Output out;
  const bool is_v5 = version == Version::kV5;
  UserPropertyList user;
  user.add("name", "value");
  Connect connect{.version = version, .clean_start = false, .client_id = "client"};
  connect.will = Will{.topic = "will", .payload = bytes_of("gone")};
  connect.user_name = "me";
  connect.password = bytes_of("secret");
  if (is_v5) {
    connect.receive_maximum = 10;
    connect.topic_alias_maximum = 3;
    connect.user = user.view();
  }
  encode(connect, out);
  FilterListBuilder filters(true, version);
  filters.add({.filter = "a/+/b", .qos = Qos::kAtLeastOnce});
  encode(Subscribe{.packet_id = 1, .filters = filters.view()}, version, out);
  Publish publish{
      .topic = "a/x/b", .payload = bytes_of("p"), .qos = Qos::kExactlyOnce, .packet_id = 2};
  if (is_v5) {
    publish.properties = {.payload_format = std::uint8_t{1},
                          .topic_alias = std::uint16_t{1},
                          .content_type = "x",
                          .user = user.view()};
  }
  encode(publish, version, out);
  if (is_v5) publish.topic = "";
  publish.packet_id = 3;
  publish.qos = Qos::kAtLeastOnce;
  encode(publish, version, out);
  encode(Ack{.type = PacketType::kPubrel, .packet_id = 2}, version, out);
  encode(Ack{.type = PacketType::kPuback, .packet_id = 1}, version, out);
  encode(Ack{.type = PacketType::kPubrec, .packet_id = 2}, version, out);
  encode_pingreq(out);
  encode(Ack{.type = PacketType::kPubcomp, .packet_id = 2}, version, out);
  encode(Disconnect{}, version, out);
  return out;
}

/// A server to whose client two messages go as soon as it is in.
class Busy : public Server {
 public:
  Busy() {
    answers_publishes = true;
    limits.outgoing_topic_aliases = 2;
    for (const Qos qos : {Qos::kAtLeastOnce, Qos::kExactlyOnce}) {
      auto message = delivery("to/client", "m", qos);
      session.enqueue(message);
    }
  }
  /// Gives bytes as they come off a stream: what was not taken comes again.
  void receive(std::span<const std::byte> bytes) {
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    const std::size_t taken = give(pending_);
    ASSERT_LE(taken, pending_.size());
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(taken));
  }
  void on_connect(const Connect& connect) override {
    Server::on_connect(connect);
    deliver();
  }
  std::size_t pending() const { return pending_.size(); }

 private:
  Output pending_;
};

constexpr Version kVersions[] = {Version::kV31, Version::kV311, Version::kV5};

TEST(Bytes, MeanTheSameWhereverTheyAreSplit) {
  for (const Version version : kVersions) {
    const auto bytes = conversation(version);
    Busy whole;
    whole.receive(bytes);
    ASSERT_EQ(whole.events.back(), "close 0x00 by client without will");
    EXPECT_TRUE(whole.session.is_idle());
    for (std::size_t at = 0; at <= bytes.size(); ++at) {
      Busy split;
      split.receive(std::span(bytes).first(at));
      split.receive(std::span(bytes).subspan(at));
      ASSERT_EQ(split.events, whole.events) << at;
      ASSERT_EQ(split.out, whole.out) << at;
    }
    Busy drop_by_drop;
    for (const std::byte& byte : bytes) drop_by_drop.receive(std::span(&byte, 1));
    EXPECT_EQ(drop_by_drop.events, whole.events);
    EXPECT_EQ(drop_by_drop.out, whole.out);
  }
}

TEST(Bytes, ThatAreCutOffLeaveTheConnectionWaiting) {
  for (const Version version : kVersions) {
    const auto bytes = conversation(version);
    for (std::size_t size = 0; size + 2 < bytes.size(); ++size) {
      Busy server;
      server.receive(std::span(bytes).first(size));
      ASSERT_NE(server.connection.state(), Connection::State::kClosed) << size;
    }
  }
}

// Whatever is damaged: what is answered is whole packets, the end comes at most once and nothing
// after it, and the session stays sound enough for the next connection.
TEST(Bytes, ThatAreDamagedNeverDoHarm) {
  for (const Version version : kVersions) {
    const auto bytes = conversation(version);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (const unsigned flip : {0x01U, 0x02U, 0x04U, 0x08U, 0x10U, 0x20U, 0x40U, 0x80U, 0xFFU}) {
        auto damaged = bytes;
        damaged[at] ^= static_cast<std::byte>(flip);
        Busy server;
        server.receive(damaged);
        std::size_t ends = 0;
        for (const auto& event : server.events) ends += event.starts_with("close") ? 1U : 0U;
        ASSERT_LE(ends, 1U);
        if (ends == 1) {
          ASSERT_TRUE(server.events.back().starts_with("close"));
        }
        describe(server.out, server.connection.version());
        server.out.clear();
        server.reconnect({.version = version, .clean_start = false, .client_id = "client"});
        ASSERT_EQ(server.connection.state(), Connection::State::kOpen);
        ASSERT_LE(server.session.queued(), 2U);
      }
    }
  }
}

}  // namespace
}  // namespace sluice::mqtt
