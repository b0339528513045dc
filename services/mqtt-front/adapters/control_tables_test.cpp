#include "adapters/control_tables.h"

#include "testing/door_front.h"

#include <format>

#include <sluice/device/v1/device_change.pb.h>
#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/limits/v1/limit_change.pb.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/eventually.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;
using testing::DoorFront;

class ControlTablesTest : public ::testing::Test {
 protected:
  ControlTablesTest() {
    kafka_.create_topic("control.devices", 2, kafka::Cleanup::kCompact);
    kafka_.create_topic("control.limits", 1, kafka::Cleanup::kCompact);
  }
  ~ControlTablesTest() override {
    front_.release();
    if (tables_) tables_->stop();
  }

  void start(const kafka::ConsumerConfig& limits = {}) {
    tables_ = std::make_unique<ControlTables>(
        ControlTables::Consumers{.devices = kafka_.table_consumer("control.devices"),
                                 .limits = kafka_.table_consumer("control.limits")},
        limits, clock_, log_, front_.registry, cache_, FrontLoops(front_.posts()));
    tables_->start();
  }
  void wait_caught_up() {
    ASSERT_TRUE(eventually([&] { return tables_->caught_up(); }));
  }

  static std::string device_record(const std::string& device, device::v1::DeviceStatus status,
                                   std::int64_t revision = 8) {
    device::v1::DeviceChange change;
    change.set_tenant("acme");
    change.set_revision(revision);
    change.mutable_device()->set_device(device);
    change.mutable_device()->set_status(status);
    change.mutable_device()->add_active_credential_ids("c1");
    return change.SerializeAsString();
  }

  static CredentialKey credential_of(const std::string& device) {
    CredentialKey key{};
    for (std::size_t i = 0; i < device.size(); ++i) key[i] = static_cast<std::byte>(device[i]);
    return key;
  }
  IdentityCache::Now now() const { return {clock_.wall(), clock_.mono()}; }
  /// What a question to the registry was answered with lies in the cache.
  void remember(const std::string& device) {
    IdentityCache::Waiter waiter = [](const Verdict&) {};
    ASSERT_EQ(cache_.begin(credential_of(device), now(), waiter).step,
              IdentityCache::Begun::Step::kAsk);
    auto identity = std::make_shared<Identity>();
    identity->tenant = TenantId("acme");
    identity->device = DeviceId(device);
    identity->credential_id = "c1";
    identity->revision = 7;
    identity->session = DoorFront::key_of(device);
    cache_.complete(credential_of(device), std::move(identity), now());
  }
  bool is_remembered() const { return cache_.stats().identities > 0; }

  std::uint64_t unusable(const std::string& topic) {
    return front_.registry
        .counter("sluice_mqtt_control_records_unusable_total",
                 "Records of control topics that make no sense.", {{"topic", topic}})
        .value();
  }

  SystemClock clock_;
  std::shared_ptr<sluice::testing::CapturedLog> lines_ =
      std::make_shared<sluice::testing::CapturedLog>();
  Logger log_ = lines_->logger("test", clock_);
  sluice::testing::FakeKafka kafka_{clock_};
  IdentityCache cache_{{}};
  DoorFront front_{2, clock_};
  std::unique_ptr<ControlTables> tables_;
};

TEST_F(ControlTablesTest, IsCaughtUpOnceBothTopicsWereRead) {
  start();
  wait_caught_up();
  EXPECT_TRUE(tables_->staleness());
}

TEST_F(ControlTablesTest, IsNotCaughtUpWhileKafkaCannotBeReached) {
  kafka_.set_reachable(false);
  start();
  EXPECT_FALSE(tables_->caught_up());
  EXPECT_FALSE(tables_->staleness());
  kafka_.set_reachable(true);
  wait_caught_up();
}

TEST_F(ControlTablesTest, ADeviceThatIsRevokedLosesItsConnectionAndItsPlaceInTheCache) {
  for (const std::string device : {"d1", "d2", "d3", "d4"}) front_.connect(device);
  remember("d3");
  start();
  wait_caught_up();
  kafka_.append("control.devices", "acme/d3",
                device_record("d3", device::v1::DEVICE_STATUS_REVOKED));
  EXPECT_TRUE(eventually([&] { return !front_.is_connected("d3"); }));
  EXPECT_FALSE(is_remembered());
  EXPECT_TRUE(front_.is_connected("d1"));
  EXPECT_TRUE(front_.is_connected("d2"));
  EXPECT_TRUE(front_.is_connected("d4"));
}

TEST_F(ControlTablesTest, ADeviceWithoutARecordIsGone) {
  front_.connect("d1");
  remember("d1");
  start();
  kafka_.append("control.devices", "acme/d1", std::nullopt);
  EXPECT_TRUE(eventually([&] { return !front_.is_connected("d1"); }));
  EXPECT_FALSE(is_remembered());
}

TEST_F(ControlTablesTest, ATenantThatIsSuspendedLosesItsConnectionsOnEveryLoop) {
  const std::vector<std::string> devices{"d1", "d2", "d3", "d4", "d5", "d6"};
  for (const auto& device : devices) front_.connect(device);
  device::v1::DeviceChange change;
  change.set_tenant("acme");
  change.set_revision(9);
  change.mutable_tenant_state()->set_is_active(false);
  kafka_.append("control.devices", "acme/$tenant", change.SerializeAsString());
  start();
  for (const auto& device : devices) {
    EXPECT_TRUE(eventually([&] { return !front_.is_connected(device); })) << device;
  }
}

TEST_F(ControlTablesTest, AStateThatAConnectionKnowsAlreadyDoesNotEndIt) {
  front_.connect("d1");
  kafka_.append("control.devices", "acme/d1",
                device_record("d1", device::v1::DEVICE_STATUS_ACTIVE, 7));
  start();
  wait_caught_up();
  front_.settle();
  EXPECT_TRUE(front_.is_connected("d1"));
}

TEST_F(ControlTablesTest, CountsAndSkipsWhatMakesNoSense) {
  front_.connect("d1");
  kafka_.append("control.devices", "acme/d1", "no protobuf");
  kafka_.append("control.devices", "no key", std::nullopt);
  kafka_.append("control.devices", "acme/d2",
                device_record("d1", device::v1::DEVICE_STATUS_REVOKED));
  kafka_.append("control.limits", "acme", "no protobuf");
  limits::v1::LimitChange change;
  change.set_tenant("other");
  kafka_.append("control.limits", "acme", change.SerializeAsString());
  start();
  wait_caught_up();
  front_.settle();
  EXPECT_EQ(unusable("control.devices"), 3U);
  EXPECT_EQ(unusable("control.limits"), 2U);
  EXPECT_TRUE(front_.is_connected("d1"));
}

TEST_F(ControlTablesTest, ALimitThatMakesNoSenseIsCountedOnce) {
  limits::v1::LimitChange change;
  change.set_tenant("acme");
  change.set_messages_per_second(-1);
  change.set_expires_at_ms(clock_.wall().time_since_epoch().count() + 3'600'000);
  kafka_.append("control.limits", "acme", change.SerializeAsString());
  start();
  wait_caught_up();
  front_.settle();
  EXPECT_EQ(unusable("control.limits"), 1U);
}

TEST_F(ControlTablesTest, ALimitReachesEveryLoopAndATombstoneLiftsIt) {
  limits::v1::LimitChange change;
  change.set_tenant("acme");
  change.set_connections_per_second(1);
  change.set_reason("consumer_lag");
  change.set_expires_at_ms(clock_.wall().time_since_epoch().count() + 3'600'000);
  kafka_.append("control.limits", "acme", change.SerializeAsString());
  start();
  wait_caught_up();
  front_.settle();
  const auto connected = [&](int from) {
    int count = 0;
    for (int i = from; i < from + 20; ++i) {
      const std::string device = std::format("d{}", i);
      front_.connect(device);
      if (front_.is_connected(device)) ++count;
    }
    return count;
  };
  // A bucket of one second's tokens; a slow machine may earn a few more meanwhile.
  EXPECT_LT(connected(0), 20);
  kafka_.append("control.limits", "acme", std::nullopt);
  int from = 20;
  EXPECT_TRUE(eventually([&] {
    from += 20;
    return connected(from) == 20;
  }));
}

TEST_F(ControlTablesTest, WaitsForLoopsThatAreBehind) {
  constexpr int kRecords = 500;
  for (int i = 0; i < kRecords; ++i) {
    const std::string device = std::format("d{}", i);
    kafka_.append("control.devices", "acme/" + device,
                  device_record(device, device::v1::DEVICE_STATUS_ACTIVE));
  }
  front_.hold();
  start({.max_batch_records = 10});
  const auto handed_over = [&] {
    return front_.registry
        .counter("sluice_kafka_table_changes_total",
                 "Records of a compacted topic that were handed over.",
                 {{"topic", "control.devices"}})
        .value();
  };
  // Four batches a loop, and one that it had begun to read.
  EXPECT_TRUE(eventually([&] { return handed_over() >= 40; }));
  EXPECT_LE(handed_over(), 100U);
  EXPECT_FALSE(tables_->caught_up());
  front_.release();
  wait_caught_up();
  EXPECT_EQ(handed_over(), static_cast<std::uint64_t>(kRecords));
}

TEST_F(ControlTablesTest, StopsWhileItWaitsForALoop) {
  for (int i = 0; i < 100; ++i) {
    const std::string device = std::format("d{}", i);
    kafka_.append("control.devices", "acme/" + device,
                  device_record(device, device::v1::DEVICE_STATUS_ACTIVE));
  }
  front_.hold();
  start({.max_batch_records = 1});
  tables_->stop();
  EXPECT_FALSE(tables_->caught_up());
}

}  // namespace
}  // namespace sluice::front
