#include "adapters/topic_repair.h"

#include "core/catalog.h"
#include "testing/fake_vault.h"
#include "testing/registry_database.h"
#include "testing/requests.h"

#include <chrono>
#include <format>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <sluice/base/planted_bug.h>
#include <sluice/device/v1/device_change.pb.h>
#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/outbox/relay.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::registry::testing {
namespace {

namespace proto = ::sluice::device::v1;
using sluice::testing::eventually;
using sluice::testing::FakeKafka;

constexpr std::int64_t kLater = 9'000'000'000'000'000;

/// Gives one record, and then nothing more in time.
class HaltingReader final : public kafka::PartitionReader {
 public:
  explicit HaltingReader(std::unique_ptr<kafka::PartitionReader> reader)
      : reader_(std::move(reader)) {}
  Result<> read(std::span<const kafka::Stretch> stretches, std::chrono::milliseconds timeout,
                const Take& take) override {
    bool has_given = false;
    SLUICE_TRY(reader_->read(stretches, timeout, [&](const kafka::RecordView& record) {
      EXPECT_TRUE(take(record));
      has_given = true;
      return false;
    }));
    if (has_given) return fail(ErrorCode::kDeadlineExceeded, "halted");
    return {};
  }

 private:
  std::unique_ptr<kafka::PartitionReader> reader_;
};

/// Of a broker that does not answer.
class SilentReader final : public kafka::PartitionReader {
 public:
  Result<> read(std::span<const kafka::Stretch>, std::chrono::milliseconds, const Take&) override {
    return fail(ErrorCode::kDeadlineExceeded, "silent");
  }
};

/// Somebody wants to stop as soon as it is looked at for a stamp.
class StoppingClock final : public Clock {
 public:
  WallTime wall() const override {
    stop.request_stop();
    return clock_.wall();
  }
  MonoTime mono() const override { return clock_.mono(); }

  mutable std::stop_source stop;

 private:
  SystemClock clock_;
};

class TopicRepairTest : public ::testing::Test {
 protected:
  TopicRepairTest() {
    kafka.create_topic("control.devices", 3, kafka::Cleanup::kCompact);
    kafka.create_topic("audit", 1);
    const auto made =
        store.run(Scope::all_tenants(), {}, [](Transaction& t) { return t.ensure_tenant("blue"); });
    EXPECT_TRUE(made) << made.error().message();
    publish();  // leads from now on, and has found nothing of another leader
  }

  Resource create_device() {
    auto made = catalog.create(blue, ResourceKind::kDevice, {{"device_class", "m"}}, {});
    EXPECT_TRUE(made) << made.error().message();
    return made->resource;
  }
  std::string key_of(const std::string& device) { return "blue/" + device; }
  void publish() {
    const auto published = outbox.run({});
    EXPECT_TRUE(published) << published.error().message();
  }
  /// Tells of a device as a database did that is no more.
  void tell(const std::string& device, std::int64_t revision,
            proto::DeviceStatus status = proto::DEVICE_STATUS_ACTIVE) {
    proto::DeviceChange change;
    change.set_tenant("blue");
    change.set_revision(revision);
    change.mutable_device()->set_device(device);
    change.mutable_device()->set_status(status);
    kafka.append("control.devices", key_of(device), change.SerializeAsString());
  }
  TopicRepair new_repair(const Clock& clock, TopicRepair::Options options = {}) {
    return TopicRepair([this] { return open_kafka(); }, database.pool(), clock,
                       database.opened.random, log, metrics, options);
  }
  TopicRepair new_repair(TopicRepair::Options options = {}) {
    return new_repair(database.opened.clock, options);
  }
  /// How many records are published now.
  std::size_t published() {
    const std::size_t before = kafka.records("control.devices").size();
    publish();
    return kafka.records("control.devices").size() - before;
  }
  /// What a new leader does, and the publisher after it.
  std::size_t repair() {
    const int compared = comparisons;
    TopicRepair repair = new_repair();
    // It leads once PostgreSQL has noticed that the one before it is gone.
    EXPECT_TRUE(eventually([&] {
      const auto done = repair.run(std::stop_token());
      EXPECT_TRUE(done) << done.error().message();
      return comparisons > compared;
    }));
    EXPECT_TRUE(repair.run(std::stop_token()));
    return published();
  }
  Result<TopicRepair::Kafka> open_kafka() {
    ++comparisons;
    auto reader = kafka.partition_reader();
    if (wrap) reader = wrap(std::move(reader));
    return TopicRepair::Kafka{.admin = kafka.admin(log), .reader = std::move(reader)};
  }
  std::string status_of(const Resource& device) {
    return catalog.get(blue, ResourceKind::kDevice, device.id)->fields["status"];
  }
  bool has_counted(const char* told, int things) {
    return metrics.scrape().contains(
        std::format("sluice_registry_lost_changes_total{{told=\"{}\"}} {}\n", told, things));
  }
  /// The last record of a key: its revision, 0 for a tombstone, -1 for none.
  std::int64_t last_told(const std::string& key) {
    std::int64_t last = -1;
    for (const auto& record : kafka.records("control.devices")) {
      if (record.key != key) continue;
      proto::DeviceChange change;
      EXPECT_TRUE(change.ParseFromString(record.value.value_or("")));
      last = change.revision();
    }
    return last;
  }

  RegistryDatabase database;
  Registry metrics;
  Logger log = database.opened.log->logger("test", database.opened.clock);
  FakeKafka kafka{database.opened.clock};
  kafka::Sender sender{kafka.producer(), database.opened.clock};
  PostgresStore store{database.pool()};
  FakeVault vault;
  Catalog catalog{store, vault, database.opened.clock, database.opened.random};
  outbox::Relay outbox{database.pool(),
                       sender,
                       database.opened.clock,
                       metrics,
                       {.lock_name = "device_registry.outbox"}};
  Caller blue = admin_of("blue");
  int comparisons = 0;
  std::function<std::unique_ptr<kafka::PartitionReader>(std::unique_ptr<kafka::PartitionReader>)>
      wrap;
};

const char* const kUnknown[] = {"0190a000-0000-7000-8000-000000000001",
                                "0190a000-0000-7000-8000-000000000002",
                                "0190a000-0000-7000-8000-000000000003"};

TEST_F(TopicRepairTest, ADatabaseThatHasLostNothingTellsNothing) {
  const Resource kept = create_device();
  const Resource deleted = create_device();
  publish();
  ASSERT_TRUE(catalog.set_device_status(blue, kept.id, DeviceStatus::kQuarantined, "", {}));
  ASSERT_TRUE(catalog.remove(blue, ResourceKind::kDevice, deleted.id, {}));
  create_device();
  // Three changes wait in the outbox: that they are not told yet is no loss.
  EXPECT_EQ(repair(), 3U);
  EXPECT_EQ(repair(), 0U);
  EXPECT_EQ(comparisons, 2) << "a leader compares once";
}

TEST_F(TopicRepairTest, TellsAnewWhatWasToldLaterThanTheDatabaseKnows) {
  const Resource changed = create_device();
  const Resource deleted = create_device();
  publish();
  tell(changed.id, kLater);
  kafka.append("control.devices", key_of(deleted.id), std::nullopt);
  const std::string made = "0190a000-0000-7000-8000-000000000001";
  tell(made, kLater);
  EXPECT_EQ(repair(), 3U);
  EXPECT_GT(last_told(key_of(changed.id)), kLater);
  EXPECT_GT(last_told(key_of(deleted.id)), deleted.revision);
  EXPECT_EQ(last_told(key_of(made)), 0);
  EXPECT_TRUE(has_counted("anew", 2));
  EXPECT_TRUE(has_counted("gone", 1));
  EXPECT_TRUE(database.opened.log->contains("database_was_restored"));
  EXPECT_EQ(repair(), 0U) << "it is mended";
}

TEST_F(TopicRepairTest, ManyThingsOfAllKindsAreComparedInPages) {
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(catalog.create(blue, ResourceKind::kDeviceClass,
                               {{"device_class_id", std::format("c{}", i)}}, {}));
  }
  const Resource device = create_device();
  publish();
  database.database.execute(
      "SET search_path = device_registry; UPDATE device_classes SET revision = 5");
  EXPECT_EQ(repair(), 11U);
  EXPECT_GT(last_told("blue/$class/c7"), 5);
  EXPECT_EQ(last_told(key_of(device.id)), device.revision);
}

TEST_F(TopicRepairTest, ARevocationHoldsThoughTheDeviceWasWrittenSinceTheRestore) {
  const Resource device = create_device();
  publish();
  tell(device.id, device.revision + 1, proto::DEVICE_STATUS_REVOKED);
  ASSERT_TRUE(catalog.update(blue, ResourceKind::kDevice, device.id, {{"model", "m2"}}, {}));
  publish();
  {
    const ScopedPlantedBug bug("registry_forgets_told_revocation");
    EXPECT_EQ(repair(), 0U);
    EXPECT_EQ(status_of(device), "active") << "the last record alone does not say it";
  }
  EXPECT_EQ(repair(), 1U);
  EXPECT_EQ(status_of(device), "revoked");
  EXPECT_EQ(repair(), 0U) << "it is mended";
}

TEST_F(TopicRepairTest, ADatabaseThatKnowsFewDevicesTellsNothingGone) {
  const Resource known = create_device();  // and the class and the tenant of the others
  publish();
  tell(known.id, kLater);
  for (const char* device : {kUnknown[0], kUnknown[1]}) tell(device, kLater);
  EXPECT_EQ(repair(), 1U);
  EXPECT_GT(last_told(key_of(known.id)), kLater);
  EXPECT_TRUE(database.opened.log->contains("control_devices_unknown"));
  EXPECT_TRUE(has_counted("withheld", 2));
  EXPECT_TRUE(has_counted("gone", 0));

  create_device();  // now it knows as many
  publish();
  EXPECT_EQ(repair(), 2U);
  EXPECT_TRUE(has_counted("gone", 2));
}

TEST_F(TopicRepairTest, WhatALostLeaderHasSentIsWaitedFor) {
  sluice::testing::SimClock clock;
  TopicRepair leader = new_repair(clock, {.quiet_time = std::chrono::seconds(6)});
  ASSERT_TRUE(leader.run({}));
  clock.advance(std::chrono::milliseconds(5999));
  ASSERT_TRUE(leader.run({}));
  EXPECT_EQ(comparisons, 0);
  const Resource device = create_device();
  publish();
  tell(device.id, kLater);
  clock.advance(std::chrono::milliseconds(1));
  ASSERT_TRUE(leader.run({}));
  EXPECT_EQ(comparisons, 1);
  EXPECT_EQ(published(), 1U);
}

TEST_F(TopicRepairTest, WhatIsMoreThanIsToldGoneAtATimeIsToldLater) {
  for (int i = 0; i < 3; ++i) create_device();
  publish();
  for (const char* device : kUnknown) tell(device, kLater);
  TopicRepair leader = new_repair({.most_told_gone = 2});
  ASSERT_TRUE(leader.run({}));
  EXPECT_EQ(published(), 2U);
  EXPECT_TRUE(has_counted("later", 1));
  ASSERT_TRUE(leader.run({}));
  EXPECT_EQ(published(), 1U);
  ASSERT_TRUE(leader.run({}));
  EXPECT_EQ(comparisons, 2) << "all are told";
}

TEST_F(TopicRepairTest, StopsBetweenTwoThings) {
  for (int i = 0; i < 3; ++i) create_device();
  publish();
  for (const char* device : kUnknown) tell(device, kLater);
  const StoppingClock clock;
  TopicRepair leader = new_repair(clock);
  ASSERT_TRUE(leader.run(clock.stop.get_token()));
  EXPECT_EQ(published(), 1U);
  ASSERT_TRUE(leader.run({}));
  EXPECT_EQ(published(), 2U) << "it was not done";
}

TEST_F(TopicRepairTest, GoesOnWithASlowTopicAndGivesUpASilentOne) {
  std::vector<Resource> devices;
  for (int i = 0; i < 6; ++i) devices.push_back(create_device());
  publish();
  for (const Resource& device : devices) tell(device.id, kLater);
  wrap = [](auto) { return std::make_unique<SilentReader>(); };
  TopicRepair leader = new_repair();
  EXPECT_EQ(leader.run({}).error().code(), ErrorCode::kDeadlineExceeded);
  wrap = [](auto reader) { return std::make_unique<HaltingReader>(std::move(reader)); };
  const auto compared = leader.run({});
  ASSERT_TRUE(compared) << compared.error().message();
  EXPECT_EQ(published(), 6U);
}

TEST_F(TopicRepairTest, AThingThatCannotBeMendedIsInNoOthersWay) {
  for (int i = 0; i < 6; ++i) {
    const Resource device = create_device();
    publish();
    kafka.append("control.devices", key_of(device.id), std::nullopt);
    if (i % 2 == 0) continue;
    database.database.execute(std::format(
        "SET search_path = device_registry; UPDATE devices SET revision = 9223372036854775807 "
        "WHERE device_id = '{}'",
        device.id));
  }
  TopicRepair leader = new_repair();
  const auto failed = leader.run({});
  ASSERT_FALSE(failed);
  EXPECT_TRUE(failed.error().message().starts_with("blue/")) << failed.error().message();
  EXPECT_TRUE(database.opened.log->contains("\"failed\":3"));
  EXPECT_EQ(published(), 3U);
  EXPECT_FALSE(leader.run({})) << "it is tried again";
  EXPECT_EQ(comparisons, 2);
}

TEST_F(TopicRepairTest, RecordsThatMakeNoSenseAreLeft) {
  kafka.append("control.devices", "blue/$unheard/of", "x");
  kafka.append("control.devices", "no tenant", std::nullopt);
  const Resource device = create_device();
  publish();
  tell(device.id, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(repair(), 0U);
  EXPECT_TRUE(database.opened.log->contains("control_devices_malformed"));
}

TEST_F(TopicRepairTest, OneInstanceCompares) {
  TopicRepair leader = new_repair();
  ASSERT_TRUE(leader.run(std::stop_token()));
  RegistryPool other_pool(database.database.config_of_ordinary_role());
  Registry other_metrics;
  TopicRepair other([this] { return open_kafka(); }, *other_pool.pool, database.opened.clock,
                    database.opened.random, log, other_metrics, {});
  EXPECT_TRUE(other.run(std::stop_token()));
  EXPECT_EQ(comparisons, 1);
}

TEST_F(TopicRepairTest, ALeaderWhoseSessionEndedComparesAgain) {
  const Resource device = create_device();
  publish();
  TopicRepair leader = new_repair();
  ASSERT_TRUE(leader.run(std::stop_token()));
  database.database.execute("SET search_path = device_registry; UPDATE devices SET revision = 5");
  database.database.terminate_backends();  // as a restore and a failover do
  ASSERT_TRUE(eventually([&] { return leader.run(std::stop_token()) && comparisons == 2; }));
  EXPECT_GT(catalog.get(blue, ResourceKind::kDevice, device.id)->revision, device.revision);
}

}  // namespace
}  // namespace sluice::registry::testing
