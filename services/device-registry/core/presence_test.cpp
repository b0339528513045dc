#include "core/presence.h"

#include "testing/device_events.h"

#include <algorithm>
#include <format>
#include <string>
#include <vector>

#include <sluice/device/v1/device_event.pb.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::registry {
namespace {

namespace proto = ::sluice::device::v1;
using sluice::testing::SimRandom;

constexpr const char* kDevice = "0190a000-0000-7000-8000-000000000001";

WallTime at(std::int64_t ms) { return WallTime{std::chrono::milliseconds(ms)}; }

proto::DeviceEvent event_of(std::int64_t at_ms, const std::string& device = kDevice) {
  return testing::device_event("blue", device, at_ms);
}
proto::DeviceEvent opened(std::uint64_t epoch, std::int64_t at_ms) {
  proto::DeviceEvent event = testing::session_opened("blue", kDevice, epoch, at_ms);
  event.mutable_session_opened()->set_front(std::format("front-{}", at_ms % 3));
  return event;
}
proto::DeviceEvent closed(std::uint64_t epoch, std::int64_t at_ms,
                          const std::string& reason = "client_disconnect") {
  return testing::session_closed("blue", kDevice, epoch, at_ms, reason);
}
proto::DeviceEvent seen(std::int64_t at_ms) { return testing::device_seen("blue", kDevice, at_ms); }
proto::DeviceEvent issued(std::int64_t at_ms) {
  return testing::certificate_issued("blue", kDevice, at_ms);
}

Result<DeviceEvent> read(const proto::DeviceEvent& event) {
  return read_device_event(testing::key_of(event), event.SerializeAsString());
}

/// What all of them tell of the one device.
Presence fold(const std::vector<proto::DeviceEvent>& events) {
  PresenceFold fold;
  for (const proto::DeviceEvent& event : events) fold.add(read(event).value());
  return fold.changes().empty() ? Presence() : fold.changes().begin()->second;
}

TEST(Presence, ASessionThatBeganIsConnected) {
  const Presence presence = fold({opened(5, 1000)});
  EXPECT_TRUE(presence.is_connected());
  EXPECT_EQ(presence.session_epoch, 5U);
  EXPECT_EQ(presence.begin->front, "front-1");
  EXPECT_EQ(presence.last_seen_at, at(1000));
  EXPECT_FALSE(presence.provisioned_at);
}

TEST(Presence, AnEndOfAnOlderSessionSaysNothingOfTheLaterOne) {
  // Taken over: the old front tells of the end after the new one told of the beginning.
  const Presence presence = fold({opened(5, 1000), opened(6, 2000), closed(5, 2100, "taken_over")});
  EXPECT_TRUE(presence.is_connected());
  EXPECT_EQ(presence.session_epoch, 6U);
  EXPECT_FALSE(presence.end);
}

TEST(Presence, ABeginningOfAnOlderSessionSaysNothingOfTheLaterOne) {
  const Presence presence = fold({opened(6, 2000), closed(6, 3000), opened(5, 1000)});
  EXPECT_FALSE(presence.is_connected());
  EXPECT_EQ(presence.session_epoch, 6U);
  EXPECT_EQ(presence.end->at, at(3000));
}

TEST(Presence, TheNumberOfTheSessionDecidesAndNotItsClock) {
  const Presence presence = fold({opened(6, 1000), closed(5, 9000)});
  EXPECT_TRUE(presence.is_connected());
}

TEST(Presence, AnEndThatOvertakesItsBeginningIsNotUndoneByIt) {
  const Presence presence = fold({closed(5, 2000), opened(5, 1000)});
  EXPECT_FALSE(presence.is_connected());
  EXPECT_EQ(presence.begin->at, at(1000));
  EXPECT_EQ(presence.end->at, at(2000));
}

TEST(Presence, TimeLastSeenOnlyGrows) {
  const Presence presence = fold({seen(5000), opened(1, 1000)});
  EXPECT_EQ(presence.last_seen_at, at(5000));
}

TEST(Presence, TheFirstCertificateMakesItProvisioned) {
  const Presence presence = fold({issued(3000), issued(2000), issued(4000)});
  EXPECT_EQ(presence.provisioned_at, at(2000));
  EXPECT_FALSE(presence.last_seen_at);
  EXPECT_EQ(presence.session_epoch, 0U);
}

/// A device's life: sessions that begin and mostly end, sightings, certificates, and senders that
/// contradict themselves.
std::vector<proto::DeviceEvent> random_life(SimRandom& random) {
  std::vector<proto::DeviceEvent> events;
  const std::int64_t count = random.between(1, 12);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto epoch = static_cast<std::uint64_t>(random.between(1, 4));
    const std::int64_t at_ms = random.between(1, 6);
    switch (random.between(0, 4)) {
      case 0:
        events.push_back(issued(at_ms));
        break;
      case 1:
        events.push_back(seen(at_ms));
        break;
      case 2:
        events.push_back(closed(epoch, at_ms, random.chance(0.5) ? "revoked" : "taken_over"));
        break;
      default:
        events.push_back(opened(epoch, at_ms));
    }
  }
  return events;
}

void shuffle(std::vector<proto::DeviceEvent>& events, SimRandom& random) {
  for (std::size_t i = events.size(); i > 1; --i) {
    const auto other =
        static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(i) - 1));
    std::swap(events[i - 1], events[other]);
  }
}

TEST(PresenceProperty, AnyOrderAndRepetitionAndAnyCutIntoBatchesEndsInTheSame) {
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    SimRandom random(seed);
    std::vector<proto::DeviceEvent> events = random_life(random);
    const Presence expected = fold(events);
    for (int round = 0; round < 4; ++round) {
      std::vector<proto::DeviceEvent> again = events;
      for (const proto::DeviceEvent& event : events) {
        if (random.chance(0.3)) again.push_back(event);
      }
      shuffle(again, random);
      Presence kept;
      for (std::size_t begin = 0; begin < again.size();) {
        const auto size = static_cast<std::size_t>(random.between(1, 5));
        const std::size_t end = std::min(begin + size, again.size());
        merge(kept, fold({again.begin() + static_cast<std::ptrdiff_t>(begin),
                          again.begin() + static_cast<std::ptrdiff_t>(end)}));
        begin = end;
      }
      ASSERT_EQ(kept, expected) << "seed " << seed;
    }
  }
}

TEST(PresenceProperty, NothingThatIsToldTakesPresenceBack) {
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    SimRandom random(seed);
    Presence kept;
    for (const proto::DeviceEvent& event : random_life(random)) {
      const Presence before = kept;
      merge(kept, fold({event}));
      ASSERT_GE(kept.session_epoch, before.session_epoch) << "seed " << seed;
      ASSERT_GE(kept.last_seen_at, before.last_seen_at) << "seed " << seed;
      if (before.provisioned_at) {
        ASSERT_LE(kept.provisioned_at, before.provisioned_at) << "seed " << seed;
      }
      if (kept.session_epoch == before.session_epoch && before.end) {
        ASSERT_FALSE(kept.is_connected()) << "seed " << seed;
      }
    }
  }
}

TEST(PresenceFold, MakesOneChangeForEachDevice) {
  PresenceFold fold;
  const std::string other = "0190a000-0000-7000-8000-000000000002";
  for (const auto& event : {opened(1, 1), testing::device_seen("blue", other, 1), closed(1, 2)})
    fold.add(read(event).value());
  ASSERT_EQ(fold.changes().size(), 2U);
  EXPECT_EQ(fold.changes().begin()->first, (DeviceKey{.tenant = "blue", .device = kDevice}));
}

TEST(DeviceEvents, WhatMakesNoSenseIsRefusedByTheNameOfItsField) {
  const auto field_of = [](const proto::DeviceEvent& event, const std::string& key = "") {
    const auto read = read_device_event(key.empty() ? event.tenant() + "/" + event.device() : key,
                                        event.SerializeAsString());
    if (read) return std::string("none");
    return read.error().faults().empty() ? std::string("?") : read.error().faults()[0].field;
  };
  EXPECT_EQ(field_of(opened(0, 1)), "session_opened.session_epoch");
  EXPECT_EQ(field_of(opened(~std::uint64_t{0}, 1)), "session_opened.session_epoch");
  EXPECT_EQ(field_of(closed(1, 1, std::string(65, 'x'))), "session_closed.reason");
  EXPECT_EQ(field_of(closed(1, 1, std::string(1, '\0'))), "session_closed.reason");
  EXPECT_EQ(field_of(opened(1, 0)), "at_ms");
  EXPECT_EQ(field_of(opened(1, 253'402'300'800'000)), "at_ms");
  EXPECT_EQ(field_of(opened(1, 1), "red/" + std::string(kDevice)), "device");
  EXPECT_EQ(field_of(event_of(1, "not-a-uuid")), "device");
  EXPECT_EQ(field_of(opened(1, 1)), "none");
}

TEST(DeviceEvents, RecordsThatHoldNoEventAreRefused) {
  EXPECT_FALSE(read_device_event("blue/x", std::nullopt));
  EXPECT_FALSE(read_device_event("blue/x", "\xFF\xFF"));
  EXPECT_FALSE(read_device_event("", ""));
}

TEST(DeviceEvents, AKindOfALaterProgramTellsNothing) {
  const auto event = read(event_of(1));
  ASSERT_TRUE(event);
  EXPECT_EQ(event->kind, DeviceEventKind::kUnknown);
  EXPECT_FALSE(event->told);
}

TEST(ShowPresence, ShowsOnlyWhatIsKnown) {
  nlohmann::json fields = nlohmann::json::object();
  show_presence(Presence(), fields);
  EXPECT_EQ(fields, nlohmann::json::object());
  show_presence(fold({closed(7, 1000)}), fields);
  EXPECT_EQ(fields["connection"], (nlohmann::json{{"connected", false},
                                                  {"session_epoch", 7},
                                                  {"disconnected_at", "1970-01-01T00:00:01.000Z"},
                                                  {"disconnect_reason", "client_disconnect"}}));
}

}  // namespace
}  // namespace sluice::registry
