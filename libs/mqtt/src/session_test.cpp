#include "testing_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::uint64_t> sequences(const Session& session) {
  std::vector<std::uint64_t> all;
  session.for_each_delivery([&](const Delivery& d) { all.push_back(d.sequence); });
  return all;
}

Delivery stored(std::uint64_t sequence, std::uint16_t packet_id, Delivery::State state) {
  auto result = delivery("t", "p", Qos::kExactlyOnce);
  result.sequence = sequence;
  result.packet_id = packet_id;
  result.state = state;
  return result;
}

TEST(Session, KeepsTheOrderOfAllQos) {
  const Session::Limits limits;
  Session session(limits);
  for (const Qos qos : {Qos::kAtLeastOnce, Qos::kAtMostOnce, Qos::kAtMostOnce, Qos::kExactlyOnce}) {
    auto message = delivery("t", "p", qos);
    EXPECT_EQ(session.enqueue(message), Session::Queued::kQueued);
  }
  EXPECT_THAT(sequences(session), ElementsAre(1, 2, 3, 4));
}

TEST(Session, TakesNoMoreThanItsLimits) {
  const Session::Limits few{.max_queued = 2};
  Session session(few);
  auto message = delivery("t", "p", Qos::kAtLeastOnce);
  auto unasked = delivery("t", "p", Qos::kAtMostOnce);
  EXPECT_EQ(session.enqueue(message), Session::Queued::kQueued);
  EXPECT_EQ(session.enqueue(unasked), Session::Queued::kQueued);
  EXPECT_EQ(session.enqueue(message), Session::Queued::kFull);

  const Session::Limits small{.max_queued_bytes = 1};
  Session tight(small);
  EXPECT_EQ(tight.enqueue(message), Session::Queued::kQueued) << "one, whatever its size";
  EXPECT_EQ(tight.enqueue(message), Session::Queued::kFull);
  EXPECT_EQ(tight.queued_bytes(), message.message->size_bytes());
}

/// Tells which deliveries expired.
class Expired final : public SessionChanges {
 public:
  void on_outbound_changed(const Delivery&) override {}
  void on_outbound_done(const Delivery& delivery, End end) override {
    if (end == End::kExpired) sequences.push_back(delivery.sequence);
  }
  std::vector<std::uint64_t> sequences;
};

TEST(Session, MakesRoomOfWhatHasExpiredUnsent) {
  const Session::Limits few{.max_queued = 4};
  Session session(few);
  const MonoTime now(std::chrono::hours(1));
  const auto lives_for = [&](std::chrono::seconds time, Qos qos = Qos::kAtLeastOnce) {
    return Delivery{.message = std::make_shared<const Message>(
                        Message{.topic = "t", .payload = "p", .expires_at = now + time}),
                    .qos = qos};
  };
  auto sent = lives_for(std::chrono::seconds(1));
  sent.sequence = 1;
  sent.packet_id = 7;
  sent.state = Delivery::State::kSent;
  session.restore(std::move(sent));
  for (auto& next : {lives_for(std::chrono::seconds(1)), lives_for(std::chrono::seconds(9)),
                     lives_for(std::chrono::seconds(1), Qos::kAtMostOnce)}) {
    Delivery one = next;
    EXPECT_EQ(session.enqueue(one), Session::Queued::kQueued);
  }
  Expired expired;
  EXPECT_FALSE(session.drop_expired(now, expired));
  EXPECT_TRUE(session.drop_expired(now + std::chrono::seconds(1), expired));
  EXPECT_THAT(expired.sequences, ElementsAre(2, 4));
  EXPECT_THAT(sequences(session), ElementsAre(1, 3)) << "what was sent has to be completed";
  EXPECT_EQ(session.queued_bytes(), 2 * lives_for(std::chrono::seconds(1)).message->size_bytes());
  EXPECT_FALSE(session.drop_expired(now + std::chrono::seconds(2), expired));
  EXPECT_TRUE(session.drop_expired(now + std::chrono::seconds(9), expired));
}

TEST(Session, WithdrawsWhatWasNotSent) {
  Server server;
  server.limits.send_maximum = 1;
  server.connect({.client_id = "c"});
  auto sent = delivery("t", "sent", Qos::kAtLeastOnce);
  auto waiting = delivery("t", "waiting", Qos::kAtLeastOnce);
  auto last = delivery("t", "last", Qos::kAtLeastOnce);
  for (Delivery* each : {&sent, &waiting, &last}) server.session.enqueue(*each);
  server.deliver();
  EXPECT_EQ(server.session.withdraw(sent.sequence), Session::Withdrawn::kUnderWay);
  EXPECT_EQ(server.session.withdraw(waiting.sequence), Session::Withdrawn::kWithdrawn);
  EXPECT_EQ(server.session.withdraw(waiting.sequence), Session::Withdrawn::kDone);
  EXPECT_THAT(sequences(server.session), ElementsAre(sent.sequence, last.sequence));
  EXPECT_EQ(server.session.queued_bytes(), sent.message->size_bytes() + last.message->size_bytes());
}

TEST(Session, RestoresWhatAStoreKept) {
  Server server;
  server.session.restore(stored(4, 65'535, Delivery::State::kReleased));
  server.session.restore(stored(6, 2, Delivery::State::kSent));
  server.session.restore(stored(7, 0, Delivery::State::kWaiting));
  server.session.restore_inbound(9);
  EXPECT_EQ(server.session.under_way(), 2U);
  EXPECT_EQ(server.session.next_sequence(), 8U);
  server.connect({.clean_start = false, .client_id = "c"});
  server.deliver();
  EXPECT_THAT(server.sent(),
              ElementsAre("PUBREL 65535", "PUBLISH t q2 2 dup 'p'", "PUBLISH t q2 3 'p'"));
  server.give_publish(9, Qos::kExactlyOnce, true);
  EXPECT_THAT(server.ids, IsEmpty());
}

TEST(Session, SurvivesAStoreThatKeptNonsense) {
  Server server;
  auto empty = stored(1, 1, Delivery::State::kSent);
  empty.message.reset();
  server.session.restore(empty);                                     // no message
  server.session.restore(stored(2, 0, Delivery::State::kReleased));  // no id
  server.session.restore(stored(3, 0, Delivery::State::kSent));      // no id: it was not sent
  server.session.restore(stored(4, 5, Delivery::State::kSent));
  server.session.restore(stored(5, 5, Delivery::State::kSent));      // twice: this one waits
  server.session.restore(stored(6, 5, Delivery::State::kReleased));  // twice and no message
  server.session.restore_inbound(0);
  EXPECT_THAT(sequences(server.session), ElementsAre(4, 3, 5));
  EXPECT_THAT(server.session.inbound_qos2(), IsEmpty());
  server.connect({.clean_start = false, .client_id = "c"});
  server.deliver();
  EXPECT_THAT(server.sent(),
              ElementsAre("PUBLISH t q2 5 dup 'p'", "PUBLISH t q2 6 'p'", "PUBLISH t q2 7 'p'"));
}

TEST(Session, GoesOnBehindTheSequenceAStoreKnows) {
  const Session::Limits limits;
  Session session(limits);
  session.set_next_sequence(40);
  auto message = delivery("t", "p", Qos::kAtLeastOnce);
  session.enqueue(message);
  EXPECT_EQ(message.sequence, 40U);
}

/// Four of one share group, two of another, one of none; of each of the first two one was sent.
class SharedSession : public ::testing::Test {
 protected:
  SharedSession() {
    const auto jobs = std::make_shared<const std::string>("$share/g/jobs");
    const auto more = std::make_shared<const std::string>("$share/g/more");
    using State = Delivery::State;
    restore(1, Qos::kAtLeastOnce, State::kSent, jobs);
    restore(2, Qos::kExactlyOnce, State::kSent, jobs);
    restore(3, Qos::kExactlyOnce, State::kReleased, more);
    restore(4, Qos::kAtLeastOnce, State::kSent, {});
    restore(5, Qos::kAtLeastOnce, State::kWaiting, jobs);
    restore(6, Qos::kExactlyOnce, State::kWaiting, more);
    restore(7, Qos::kAtLeastOnce, State::kWaiting, {});
    restore(8, Qos::kExactlyOnce, State::kWaiting, jobs);
  }
  void restore(std::uint64_t sequence, Qos qos, Delivery::State state, SharePtr share) {
    Delivery one = delivery("t", "p", qos);
    one.sequence = sequence;
    one.state = state;
    if (state != Delivery::State::kWaiting) one.packet_id = static_cast<std::uint16_t>(sequence);
    one.share = std::move(share);
    server.session.restore(std::move(one));
  }
  static std::vector<std::uint64_t> of(const std::vector<Delivery>& deliveries) {
    std::vector<std::uint64_t> all;
    for (const Delivery& one : deliveries) all.push_back(one.sequence);
    return all;
  }
  Server server;
};

TEST_F(SharedSession, GivesUpWhatWasNeverSentOfOneShare) {
  EXPECT_THAT(of(server.session.take_shared(Session::Take::kUnsent, "$share/g/jobs")),
              ElementsAre(5, 8));
  EXPECT_THAT(sequences(server.session), ElementsAre(1, 2, 3, 4, 6, 7));
  EXPECT_EQ(server.session.under_way(), 4U);
  EXPECT_THAT(of(server.session.take_shared(Session::Take::kUnsent, "$share/g/jobs")), IsEmpty());
}

TEST_F(SharedSession, NeverGivesUpAQos2MessageThatWasSent) {
  EXPECT_THAT(of(server.session.take_shared(Session::Take::kUnacknowledged)),
              ElementsAre(1, 5, 6, 8));
  EXPECT_THAT(sequences(server.session), ElementsAre(2, 3, 4, 7));
  EXPECT_EQ(server.session.under_way(), 3U);
  EXPECT_EQ(server.session.queued_bytes(),
            3 * delivery("t", "p", Qos::kAtLeastOnce).message->size_bytes());
}

TEST_F(SharedSession, GoesOnInOrderWithWhatIsLeft) {
  server.connect({.clean_start = false, .client_id = "c"});
  server.deliver();
  server.sent();
  server.session.take_shared(Session::Take::kUnsent);
  server.give_ack(PacketType::kPuback, 4);
  EXPECT_THAT(sequences(server.session), ElementsAre(1, 2, 3, 5, 6, 7, 8))
      << "what was sent on this connection is no longer unsent";
}

TEST(Message, CountsAllThatItHolds) {
  const Message small{.topic = "t"};
  const Message large{
      .topic = "t", .payload = std::string(1000, 'x'), .correlation_data = std::string(500, 'x')};
  EXPECT_EQ(large.size_bytes(), small.size_bytes() + 1500);
}

TEST(Message, OfAWillKeepsItsPropertiesAndNotItsDelay) {
  const Will will{.topic = "w",
                  .payload = bytes_of("gone"),
                  .qos = Qos::kAtLeastOnce,
                  .retain = true,
                  .properties = {.expiry_seconds = 7U, .delay_seconds = 3U, .content_type = "x"}};
  const MonoTime now{std::chrono::seconds(100)};
  const auto message = to_message(will, 4, now);
  EXPECT_EQ(message.payload, "gone");
  EXPECT_EQ(message.content_type, "x");
  EXPECT_EQ(message.expires_at, now + std::chrono::seconds(7));
  EXPECT_TRUE(message.retain);
}

}  // namespace
}  // namespace sluice::mqtt
