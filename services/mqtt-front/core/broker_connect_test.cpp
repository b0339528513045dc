#include "testing/test_front.h"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include <sluice/base/planted_bug.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using mqtt::Qos;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const SessionKey kD1("blue/d1");

class Connecting : public ::testing::Test {
 protected:
  Connecting() { front.add_device("d1"); }
  TestFront front;
};

TEST_F(Connecting, AsksTheRegistryWithWhatIsThere) {
  TestClient token(front);
  token.connect("d1");
  EXPECT_EQ(front.authenticator.requests.back().token(), "sld_token");
  EXPECT_EQ(front.authenticator.requests.back().claimed_device(), "d1");
  EXPECT_EQ(front.authenticator.requests.back().address(), "192.0.2.1");
  TestClient jwt(front);
  jwt.hello.password = std::as_bytes(std::span(std::string_view("a.b.c")));
  jwt.connect("d1");
  EXPECT_EQ(front.authenticator.requests.back().jwt(), "a.b.c");
  device::v1::CertificateCredential certificate;
  certificate.set_common_name("d1");
  TestClient with_certificate(front, {.certificate = certificate});
  with_certificate.connect("d1");
  EXPECT_EQ(front.authenticator.requests.back().certificate().common_name(), "d1");
  EXPECT_TRUE(front.authenticator.requests.back().token().empty());
  TestClient psk(front, {.psk_identity = "psk-d1"});
  psk.connect("d1");
  EXPECT_EQ(front.authenticator.requests.back().psk_identity(), "psk-d1");
  EXPECT_THAT(psk.received(), ElementsAre("connack 0x00"));
}

TEST_F(Connecting, RefusesWhoCannotProveAnything) {
  TestClient nameless(front);
  nameless.hello.password.reset();
  nameless.connect("d1");
  EXPECT_THAT(nameless.received(), ElementsAre("connack 0x87"));
  EXPECT_TRUE(nameless.is_closed());
  EXPECT_THAT(front.authenticator.requests, IsEmpty());
  TestClient unknown(front);
  unknown.connect("d9");
  EXPECT_THAT(unknown.received(), ElementsAre("connack 0x87"));
  EXPECT_THAT(front.observer.events, ElementsAre("refused d1 not_authorized no_credential",
                                                 "refused d9 not_authorized unknown_credential"));
}

TEST_F(Connecting, IsUnavailableWhileNobodyCanSay) {
  front.authenticator.is_unavailable = true;
  TestClient client(front);
  client.connect("d1");
  EXPECT_THAT(client.received(), ElementsAre("connack 0x88"));
  EXPECT_EQ(front.store.calls.size(), 0U);
}

TEST_F(Connecting, IsUnavailableWithoutTheStore) {
  front.store.failures.emplace("claim", Error(ErrorCode::kUnavailable, "no store"));
  TestClient client(front);
  client.connect("d1");
  EXPECT_THAT(client.received(), ElementsAre("connack 0x88"));
  EXPECT_TRUE(client.is_closed());
}

TEST_F(Connecting, TakesTheDevicesIdAndItsExternalId) {
  TestClient external(front);
  EXPECT_THAT(external.connect("press-d1").received(), ElementsAre("connack 0x00"));
  EXPECT_EQ(external.client().key(), kD1);
  front.authenticator.identities["d2"] = front.authenticator.identities["d1"];
  TestClient other(front);
  EXPECT_THAT(other.connect("d2").received(), ElementsAre("connack 0x85"));
  TestClient odd(front);
  EXPECT_THAT(odd.connect("d1/#").received(), ElementsAre("connack 0x85"));
  TestClient longest(front);
  EXPECT_THAT(longest.connect(std::string(129, 'x')).received(), ElementsAre("connack 0x85"));
}

TEST_F(Connecting, TellsANamelessClientItsName) {
  front.authenticator.identities[""] = front.authenticator.identities["d1"];
  TestClient client(front);
  EXPECT_THAT(client.connect("").received(), ElementsAre("connack 0x00 id=d1"));
}

TEST_F(Connecting, LimitsHowLongASessionIsKept) {
  TestClient client(front);
  client.hello.session_expiry_seconds = kSessionForever;
  EXPECT_THAT(client.connect("d1").received(), ElementsAre("connack 0x00 expiry=604800"));
}

TEST_F(Connecting, RefusesAWillThatTheDeviceMayNotPublish) {
  TestClient client(front);
  client.hello.will = mqtt::Will{.topic = "tenant/blue/device/d2/events/gone"};
  EXPECT_THAT(client.connect("d1").received(), ElementsAre("connack 0x87"));
  EXPECT_THAT(front.observer.events, Contains(HasSubstr("will_topic_not_allowed")));
}

TEST_F(Connecting, SendsClientsAwayWhileDraining) {
  front.broker->begin_drain();
  TestClient client(front);
  EXPECT_THAT(client.connect("d1").received(), ElementsAre("connack 0x9C"));
}

TEST(ConnectRate, IsKept) {
  TestFront front({}, {.client_connects = Rate(1, 1)});
  front.add_device("d1");
  TestClient first(front);
  EXPECT_THAT(first.connect("d1").received(), ElementsAre("connack 0x00"));
  TestClient second(front);
  EXPECT_THAT(second.connect("d1").received(), ElementsAre("connack 0x9F"));
  EXPECT_FALSE(first.is_closed()) << "a client that was refused took the session";
}

TEST(ConformanceProfile, AsksNobody) {
  TestFront front({.is_conformance_profile = true});
  TestClient client(front);
  client.hello.password.reset();
  EXPECT_THAT(client.connect("any/thing").received(), ElementsAre("connack 0x00"));
  EXPECT_THAT(front.authenticator.requests, IsEmpty());
  client.subscribe("a/+").subscribe("test/nosubscribe");
  client.publish("a/b", "x", Qos::kAtLeastOnce, 7);
  EXPECT_THAT(client.received(),
              ElementsAre("suback 0x01", "suback 0x80", "publish a/b q1 #1 'x'", "puback 7"));
  EXPECT_THAT(front.sink.records, IsEmpty());
}

TEST(ConformanceProfile, HasNoRatesAlsoForClientsOfOtherLoops) {
  const SessionKey key("/c");
  const std::size_t home = loop_of(key, 2);
  TestFront here({.is_conformance_profile = true}, {.loop = 1 - home, .loops = 2});
  TestFront there({.is_conformance_profile = true}, {.loop = home, .loops = 2});
  TestClient client(here);
  client.connect("c");
  ASSERT_EQ(client.moves_to, home);
  client.move_to(there);
  EXPECT_EQ(here.broker->streams(), 0U);
  for (int i = 0; i < 300; ++i) client.publish("t", "x", Qos::kAtMostOnce);
  EXPECT_EQ(there.dropped("messages_per_second"), 0U);
  EXPECT_THAT(client.received(), ElementsAre("connack 0x00"));
}

TEST_F(Connecting, TheLaterConnectionWinsAndTheSessionGoesOn) {
  TestClient first(front);
  first.hello.session_expiry_seconds = 100;
  first.connect("d1").subscribe(TestFront::own("d1", "commands/#"));
  first.received();
  TestClient second(front);
  second.hello.session_expiry_seconds = 100;
  second.hello.clean_start = false;
  second.connect("d1");
  EXPECT_THAT(first.received(), ElementsAre("disconnect 0x8E"));
  EXPECT_TRUE(first.is_closed());
  EXPECT_THAT(second.received(), ElementsAre("connack 0x00 present"));
  EXPECT_EQ(front.broker->clients(), 1U);
  EXPECT_EQ(front.broker->streams(), 1U);
  EXPECT_EQ(front.store.entries.at(kD1).session.subscriptions.size(), 1U);
}

TEST_F(Connecting, TheThirdWinsOverTheSecondThatWaits) {
  TestClient first(front);
  first.connect("d1");
  first.received();
  TestClient second(front);
  TestClient third(front);
  second.hello.client_id = third.hello.client_id = "d1";
  second.send_connect();
  third.send_connect();
  front.settle();
  EXPECT_THAT(first.received(), ElementsAre("disconnect 0x8E"));
  EXPECT_THAT(second.received(), ElementsAre("connack 0x89"));
  EXPECT_THAT(third.received(), ElementsAre("connack 0x00"));
  EXPECT_EQ(front.broker->streams(), 1U);
}

TEST_F(Connecting, AsksTheOtherFrontToLetGoAndClaimsAgain) {
  front.store.foreign_claim(kD1);
  front.neighbours.on_release = [&](const SessionKey& key) { front.store.foreign_release(key); };
  TestClient client(front);
  client.hello.clean_start = false;
  EXPECT_THAT(client.connect("d1").received(), ElementsAre("connack 0x00 present"));
  EXPECT_THAT(front.neighbours.released, ElementsAre(kD1));
}

TEST_F(Connecting, TellsAClientWhyAnotherFrontDoesNotLetGo) {
  front.store.foreign_claim(kD1);
  front.neighbours.is_busy = true;
  front.neighbours.on_release = [&](const SessionKey&) {
    front.clock.advance(std::chrono::seconds(1));  // what a real one takes to say so
  };
  TestClient client(front);
  client.connect("d1");
  EXPECT_THAT(client.received(), ElementsAre("connack 0x89"));
  EXPECT_THAT(front.observer.events, ElementsAre("refused d1 server_busy session_busy"));
  EXPECT_THAT(front.neighbours.released, ElementsAre(kD1, kD1, kD1)) << "not before its time";
  EXPECT_EQ(front.broker->clients(), 0U);
}

/// How often an owner is asked for a session that says that it holds none, and lets go of it when
/// it is asked for the sixth time.
std::size_t asked_for_what_nobody_holds(TestFront& front) {
  front.store.foreign_claim(kD1);
  front.neighbours.holds_sessions = false;
  front.neighbours.on_release = [&, asked = 0](const SessionKey&) mutable {
    if (++asked > 5) front.neighbours.holds_sessions = true, front.store.foreign_release(kD1);
  };
  TestClient client(front);
  client.hello.clean_start = false;
  EXPECT_THAT(client.connect("d1").received(), ElementsAre("connack 0x00 present"));
  return front.neighbours.released.size();
}

TEST_F(Connecting, TakesASessionOfWhichItsOwnerSaysThatItHoldsNone) {
  EXPECT_EQ(asked_for_what_nobody_holds(front), 1U);
}

TEST_F(Connecting, AFrontThatWaitsForWhoHoldsNothingWouldBeSeen) {
  const ScopedPlantedBug bug("front_waits_for_who_let_go");
  EXPECT_EQ(asked_for_what_nobody_holds(front), 6U);
}

TEST_F(Connecting, AsksAgainForASessionThatItsOwnerClaimedAnewMeanwhile) {
  front.store.foreign_claim(kD1);
  front.neighbours.holds_sessions = false;
  front.neighbours.on_release = [&](const SessionKey&) {
    if (front.neighbours.released.size() == 1) front.store.foreign_claim(kD1);
    if (front.neighbours.released.size() > 5) front.store.foreign_release(kD1);
  };
  TestClient client(front);
  client.hello.clean_start = false;
  EXPECT_THAT(client.connect("d1").received(), ElementsAre("connack 0x00 present"));
  EXPECT_THAT(front.neighbours.released, ElementsAre(kD1, kD1));
}

TEST_F(Connecting, LetsNothingBeClaimedForAClientThatWentWhileTheOtherFrontWasAsked) {
  front.store.foreign_claim(kD1);
  TestClient client(front);
  front.neighbours.on_release = [&](const SessionKey& key) {
    front.store.foreign_release(key);
    client.lose();
  };
  client.connect("d1");
  EXPECT_THAT(front.store.calls, ElementsAre("claim blue/d1"));
  EXPECT_EQ(front.broker->streams(), 0U);
}

/// Whatever step the client dies at, nothing is left of it and the next one gets in.
TEST_F(Connecting, MayDieAtEveryStep) {
  for (std::size_t steps = 0; steps < 8; ++steps) {
    TestClient client(front);
    client.hello.session_expiry_seconds = 100;
    client.hello.client_id = "d1";
    client.send_connect();
    for (std::size_t i = 0; i < steps; ++i) front.tasks.run_one();
    client.lose();
    front.settle();
    EXPECT_EQ(front.broker->streams(), 0U) << steps;
    EXPECT_EQ(front.broker->clients(), 0U) << steps;
    TestClient next(front);
    next.hello.clean_start = false;
    EXPECT_THAT(next.connect("d1").received().front(), HasSubstr("connack 0x00")) << steps;
    next.disconnect();
  }
}

TEST_F(Connecting, KeepsWhatASessionHeldForAClientThatWentWhileItWasClaimed) {
  {
    TestClient first(front);
    first.hello.session_expiry_seconds = 100;
    first.connect("d1").subscribe(TestFront::own("d1", "commands/#"));
  }
  front.settle();
  TestClient second(front);
  second.hello.session_expiry_seconds = 100;
  second.hello.clean_start = false;
  second.hello.client_id = "d1";
  second.send_connect();
  front.tasks.run_one();  // who it is
  second.lose();
  front.settle();
  EXPECT_EQ(front.store.entries.at(kD1).session.subscriptions.size(), 1U);
}

TEST_F(Connecting, EndsAConnectionWhoseClientTakesNoConnack) {
  TestClient client(front);
  client.hello.maximum_packet_size = 2;
  client.hello.session_expiry_seconds = 100;
  client.connect("d1");
  EXPECT_TRUE(client.is_closed());
  EXPECT_EQ(front.metrics.connections.value(), 0);
  EXPECT_EQ(front.broker->clients(), 0U);
}

TEST_F(Connecting, AnswersReleaseOnceTheSessionIsLetGo) {
  TestClient client(front);
  client.hello.session_expiry_seconds = 100;
  client.connect("d1");
  client.received();
  std::optional<bool> was_held;
  front.broker->release(kD1, front.store.entries.at(kD1).epoch,
                        [&](Result<bool> held) { was_held = *held; });
  EXPECT_FALSE(was_held);
  front.settle();
  EXPECT_EQ(was_held, true);
  EXPECT_FALSE(front.store.entries.at(kD1).is_owned);
  EXPECT_THAT(client.received(), ElementsAre("disconnect 0x8E"));
  front.broker->release(kD1, Epoch(99), [&](Result<bool> held) { was_held = *held; });
  EXPECT_EQ(was_held, false);
}

TEST_F(Connecting, EndsASessionWhoseClientSaysSoAtTheEnd) {
  TestClient client(front);
  client.hello.session_expiry_seconds = 100;
  client.connect("d1");
  client.disconnect(mqtt::ReasonCode::kSuccess, 0);
  EXPECT_FALSE(front.store.entries.contains(kD1));
}

TEST_F(Connecting, AppliesAChangeAlsoToWhoWaitsForTheSession) {
  TestClient first(front);
  first.connect("d1");
  TestClient second(front);
  second.hello.client_id = "d1";
  second.send_connect();
  front.tasks.run_one();  // proven: it waits for the first one's session
  front.revoke("d1");
  front.settle();
  EXPECT_THAT(second.received(), ElementsAre("connack 0x87"));
  EXPECT_EQ(front.broker->clients(), 0U);
}

TEST_F(Connecting, RefusesAnIdentityThatAChangePassedByOnItsWay) {
  front.authenticator.position = 5;
  TestClient client(front);
  client.hello.client_id = "d1";
  client.send_connect();
  front.tasks.run_one();               // proven, and on its way to its session
  front.authenticator.changed_at = 6;  // its loop has heard of that already, and found nobody
  front.settle();
  EXPECT_THAT(client.received(), ElementsAre("connack 0x89"));
  EXPECT_EQ(front.broker->clients(), 0U);
  TestClient again(front);  // asks anew, and is told what holds now
  front.authenticator.position = 6;
  EXPECT_THAT(again.connect("d1").received(), ElementsAre("connack 0x00"));
}

TEST_F(Connecting, DrainsSomeAtATime) {
  front.add_device("d2");
  TestClient one(front);
  TestClient two(front);
  one.connect("d1");
  two.connect("d2");
  EXPECT_TRUE(front.broker->drain_some(1, "elsewhere:1883"));
  front.settle();
  EXPECT_EQ(front.broker->clients(), 1U);
  EXPECT_FALSE(front.broker->drain_some(2, "elsewhere:1883"));
  EXPECT_THAT(two.received(), ElementsAre("connack 0x00", "disconnect 0x9C"));
}

TEST_F(Connecting, EndsWhoMayNoLongerConnect) {
  TestClient client(front);
  client.connect("d1");
  front.revoke("d1");
  EXPECT_THAT(client.received(), ElementsAre("connack 0x00", "disconnect 0x98"));
}

TEST(Flapping, GetsAClientBanned) {
  TestFront front({}, {.flapping_disconnects = 2});
  front.add_device("d1");
  for (int i = 0; i < 2; ++i) {
    TestClient client(front);
    client.connect("d1").lose();
    front.settle();
  }
  TestClient client(front);
  EXPECT_THAT(client.connect("d1").received(), ElementsAre("connack 0x8A"));
}

/// What a device is answered that has said goodbye five times.
std::vector<std::string> answer_after_goodbyes() {
  TestFront front({}, {.flapping_disconnects = 2});
  front.add_device("d1");
  for (int i = 0; i < 5; ++i) {
    TestClient client(front);
    client.connect("d1");
    if (!client.is_closed()) client.disconnect();
  }
  TestClient client(front);
  return client.connect("d1").received();
}

TEST(Flapping, IsNotToSayGoodbye) {
  EXPECT_THAT(answer_after_goodbyes(), ElementsAre("connack 0x00"));
}

TEST(Flapping, ABanForGoodbyesWouldBeSeen) {
  const ScopedPlantedBug bug("front_bans_the_polite");
  EXPECT_THAT(answer_after_goodbyes(), ElementsAre("connack 0x8A"));
}

TEST(Fencing, LeavesNothingToBeSentThatWasFramedBefore) {
  TestFront front;
  front.add_device("d1");
  for (const bool has_framed : {false, true}) {
    TestClient client(front);
    client.connect("d1").received();
    client.has_framed = has_framed;
    front.broker->drop_all("lease lost");
    EXPECT_EQ(client.client().must_be_silent(), has_framed);
    front.settle();
  }
}

TEST(Flapping, IsToTakeEachOthersPlace) {
  TestFront front({}, {.flapping_disconnects = 2});
  front.add_device("d1");
  TestClient first(front), second(front), third(front), fourth(front);
  first.connect("d1");
  second.connect("d1");
  third.connect("d1");
  EXPECT_THAT(fourth.connect("d1").received(), ElementsAre("connack 0x8A"));
}

/// What a device is answered that comes back after the platform has ended its connection that way.
std::vector<std::string> answer_after(const std::function<void(TestFront&)>& end,
                                      mqtt::Version version = mqtt::Version::kV5) {
  TestFront front({}, {.is_durable = true, .flapping_disconnects = 1});
  front.add_device("d1");
  TestClient client(front);
  client.hello.version = version;
  client.connect("d1");
  client.publish(TestFront::own("d1", "telemetry"), "x", mqtt::Qos::kAtLeastOnce, 7);
  end(front);
  front.settle();
  EXPECT_TRUE(client.is_closed());
  TestClient again(front);
  return again.connect("d1").received();
}

void change_rights(TestFront& front) {
  front.broker->on_change(
      {.scope = DeviceChange::Scope::kDevice, .tenant = "blue", .name = "d1", .revision = 9});
}

TEST(Flapping, IsNotWhatThePlatformItselfEnds) {
  const std::vector<std::string> let_in{"connack 0x00"};
  EXPECT_EQ(answer_after(change_rights), let_in);
  EXPECT_EQ(answer_after([](TestFront& front) { front.broker->drop_all("lease lost"); }), let_in);
  EXPECT_EQ(answer_after([](TestFront& front) {
              const Epoch epoch = front.store.entries.at(kD1).epoch;
              front.broker->fence(kD1, epoch);
            }),
            let_in);
  EXPECT_EQ(answer_after([](TestFront& front) { front.complete(false); }, mqtt::Version::kV311),
            let_in)
      << "Kafka did not take what it published, of which it cannot be told";
}

TEST(Flapping, ABanForWhatThePlatformEndsWouldBeSeen) {
  const ScopedPlantedBug bug("front_bans_whom_it_sent_away");
  EXPECT_EQ(answer_after(change_rights), std::vector<std::string>{"connack 0x8A"});
}

/// Many devices of one class, and what becomes of them by one change.
class ChangingMany : public ::testing::Test {
 protected:
  static constexpr std::size_t kMany = 120;
  ChangingMany() {
    for (std::size_t i = 0; i < kMany; ++i) {
      const std::string device = "m" + std::to_string(i);
      front.add_device(device);
      clients.push_back(std::make_unique<TestClient>(front));
      clients.back()->connect(device);
    }
  }
  std::size_t closed() {
    front.settle();
    return static_cast<std::size_t>(
        std::ranges::count_if(clients, [](const auto& client) { return client->is_closed(); }));
  }
  TestFront front;
  std::vector<std::unique_ptr<TestClient>> clients;
};

TEST_F(ChangingMany, SendsThemAwayLittleByLittleToComeAgain) {
  front.broker->on_change({.scope = DeviceChange::Scope::kDeviceClass,
                           .tenant = "blue",
                           .name = "meter",
                           .revision = 9});
  EXPECT_EQ(closed(), 50U);
  EXPECT_EQ(closed(), 50U);
  front.clock.advance(Broker::kDueInterval);
  EXPECT_EQ(closed(), 100U);
  front.clock.advance(Broker::kDueInterval);
  EXPECT_EQ(closed(), kMany);
  EXPECT_FALSE(front.broker->has_due());
}

TEST_F(ChangingMany, EndsAtOnceWhoMayNotComeAgain) {
  front.broker->on_change({.scope = DeviceChange::Scope::kDeviceClass,
                           .tenant = "blue",
                           .name = "meter",
                           .revision = 8});
  front.broker->on_change({.scope = DeviceChange::Scope::kTenant,
                           .tenant = "blue",
                           .revision = 9,
                           .end_reason = "tenant_suspended"});
  EXPECT_EQ(closed(), kMany);
}

}  // namespace
}  // namespace sluice::front::testing
