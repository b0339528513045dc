#include "adapters/presence_writer.h"

#include "testing/device_events.h"

#include <algorithm>
#include <chrono>
#include <format>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::registry::testing {
namespace {

using namespace std::chrono_literals;
using Event = device::v1::DeviceEvent;

constexpr const char* kDevice = "0190a000-0000-7000-8000-000000000001";

/// Knows every device but those of the tenant "gone".
class FakePresence final : public PresenceStore {
 public:
  Result<std::vector<PresenceOutcome>> merge(
      std::span<const PresenceFold::Change* const> changes) override {
    ++calls;
    if (refuse) SLUICE_TRY(refuse(changes));
    std::vector<PresenceOutcome> outcomes;
    for (const PresenceFold::Change* change : changes) {
      if (change->first.tenant == "gone") {
        outcomes.push_back(PresenceOutcome::kUnknownDevice);
        continue;
      }
      Presence& kept = rows[change->first];
      const Presence before = kept;
      registry::merge(kept, change->second);
      outcomes.push_back(kept == before ? PresenceOutcome::kUnchanged : PresenceOutcome::kChanged);
    }
    largest = std::max(largest, changes.size());
    return outcomes;
  }

  std::map<DeviceKey, Presence> rows;
  std::function<Result<>(std::span<const PresenceFold::Change* const>)> refuse;
  int calls = 0;
  std::size_t largest = 0;
};

class PresenceWriterTest : public ::testing::Test {
 protected:
  PresenceWriterTest() { kafka.create_topic("device.events", 1); }

  void append(const Event& event) {
    kafka.append("device.events", key_of(event), event.SerializeAsString());
  }
  /// A few turns, each as if a commit interval had passed since the last.
  void run(int turns = 3) {
    for (int i = 0; i < turns; ++i) {
      (void)loop.step(0ms);
      clock.advance(10s);
    }
  }
  std::int64_t committed() {
    const auto offset = kafka.committed("g", {"device.events", kafka::Partition(0)});
    return offset ? offset->value() : 0;
  }
  double counted(const std::string& kind, const std::string& outcome) {
    const std::string line =
        "sluice_registry_device_events_total{kind=\"" + kind + "\",outcome=\"" + outcome + "\"} ";
    const std::string text = registry.scrape();
    const std::size_t place = text.find(line);
    return place == std::string::npos ? -1 : std::stod(text.substr(place + line.size()));
  }
  const Presence& row(const std::string& tenant = "blue", const std::string& device = kDevice) {
    return store.rows[{.tenant = tenant, .device = device}];
  }

  sluice::testing::SimClock clock;
  sluice::testing::SimRandom random{7};
  std::shared_ptr<sluice::testing::CapturedLog> lines =
      std::make_shared<sluice::testing::CapturedLog>();  // and loggers
  Logger log = lines->logger("test", clock);
  Registry registry;
  sluice::testing::FakeKafka kafka{clock};
  FakePresence store;
  PresenceWriter writer{store, log, registry};
  kafka::ConsumerLoop loop{
      {.durability = kafka::Durability::kOnReturn}, clock, random, log, registry,
      kafka.group_consumer("g", {"device.events"}), writer};
};

TEST_F(PresenceWriterTest, EventsReachTheStoreAndAreCommittedAfterwards) {
  append(session_opened("blue", kDevice, 1, 1000));
  append(session_opened("blue", kDevice, 1, 1000));
  run();
  EXPECT_TRUE(row().is_connected());
  EXPECT_EQ(committed(), 2);
  EXPECT_EQ(store.calls, 1);
  EXPECT_EQ(counted("session_opened", "changed"), 2);
}

TEST_F(PresenceWriterTest, WhatTheStoreDidNotTakeIsNotCommittedAndComesAgain) {
  store.refuse = [](auto) { return fail(ErrorCode::kUnavailable, "the database is down"); };
  append(session_opened("blue", kDevice, 1, 1000));
  run(50);
  EXPECT_EQ(committed(), 0);
  EXPECT_GT(store.calls, 5);
  EXPECT_EQ(counted("session_opened", "changed"), 0);
  store.refuse = nullptr;
  run();
  EXPECT_TRUE(row().is_connected());
  EXPECT_EQ(committed(), 1);
}

TEST_F(PresenceWriterTest, NoTroubleOfTheStoresOwnMakesItSkipAnEvent) {
  for (const ErrorCode code : {ErrorCode::kInternal, ErrorCode::kPermissionDenied,
                               ErrorCode::kFailedPrecondition, ErrorCode::kDeadlineExceeded}) {
    store.refuse = [code](auto) { return fail(code, "broken"); };
    append(session_opened("blue", kDevice, 1, 1000));
    run(50);
    EXPECT_EQ(committed(), 0);
  }
  store.refuse = nullptr;
  run();
  EXPECT_EQ(committed(), 4);
}

TEST_F(PresenceWriterTest, RecordsThatMakeNoSenseStopNothing) {
  kafka.append("device.events", "blue/x", "\xFF\xFF");
  kafka.append("device.events", "blue/x", std::nullopt);
  kafka.append("device.events", "red/x", session_opened("blue", kDevice, 1, 1).SerializeAsString());
  append(session_opened("blue", kDevice, 0, 1000));
  append(session_opened("blue", kDevice, 3, 1000));
  run();
  EXPECT_EQ(row().session_epoch, 3U);
  EXPECT_EQ(committed(), 5);
  EXPECT_EQ(counted("unknown", "malformed"), 4);
  EXPECT_EQ(lines->count("device_events_malformed"), 1U);
}

TEST_F(PresenceWriterTest, OutcomesAreCountedByKind) {
  append(session_opened("gone", kDevice, 1, 1000));
  append(device_event("blue", kDevice, 1000));
  Event revoked = device_event("blue", kDevice, 1000);
  revoked.mutable_certificate_revoked()->set_serial("1f");
  append(revoked);
  append(certificate_issued("blue", kDevice, 1000));
  run();
  append(certificate_issued("blue", kDevice, 1000));
  run();
  EXPECT_EQ(counted("session_opened", "unknown_device"), 1);
  EXPECT_EQ(counted("unknown", "ignored"), 1);
  EXPECT_EQ(counted("certificate_revoked", "ignored"), 1);
  EXPECT_EQ(counted("certificate_issued", "changed"), 1);
  EXPECT_EQ(counted("certificate_issued", "unchanged"), 1);
  EXPECT_EQ(committed(), 5);
}

TEST_F(PresenceWriterTest, DataThatTheStoreRefusesIsFoundAndPutAside) {
  const std::string other = "0190a000-0000-7000-8000-000000000002";
  store.refuse = [&](std::span<const PresenceFold::Change* const> changes) -> Result<> {
    for (const PresenceFold::Change* change : changes) {
      if (change->first.device == kDevice) return fail(ErrorCode::kInvalidArgument, "bad row");
    }
    return {};
  };
  append(session_opened("blue", other, 1, 1000));
  append(session_opened("blue", kDevice, 1, 1000));
  append(session_closed("blue", other, 1, 2000));
  run(100);
  EXPECT_FALSE(row("blue", other).is_connected());
  EXPECT_EQ(row("blue", other).session_epoch, 1U);
  EXPECT_EQ(counted("session_opened", "refused"), 1);
  EXPECT_EQ(committed(), 3);
}

TEST_F(PresenceWriterTest, NoCallToTheStoreIsLargerThanItsBound) {
  kafka::ConsumerConfig limits;
  limits.max_batch_records = 5000;
  loop.stop();
  kafka::ConsumerLoop wide({.durability = kafka::Durability::kOnReturn, .limits = limits}, clock,
                           random, log, registry, kafka.group_consumer("h", {"device.events"}),
                           writer);
  for (int i = 0; i < 2500; ++i) {
    append(device_seen("blue", std::format("0190a000-0000-7000-8000-{:012}", i), 1000));
  }
  for (int i = 0; i < 3; ++i) (void)wide.step(0ms);
  EXPECT_EQ(store.rows.size(), 2500U);
  EXPECT_EQ(store.largest, kMaxPresenceChanges);
  EXPECT_EQ(store.calls, 3);
}

}  // namespace
}  // namespace sluice::registry::testing
