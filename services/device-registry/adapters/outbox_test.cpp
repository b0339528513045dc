#include "adapters/postgres_store.h"
#include "core/catalog.h"
#include "testing/fake_vault.h"
#include "testing/registry_database.h"
#include "testing/requests.h"

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
using sluice::testing::SimClock;

outbox::Relay::Options options(std::size_t batch_records = 5000) {
  return {.lock_name = "device_registry.outbox", .batch_records = batch_records};
}

class OutboxTest : public ::testing::Test {
 protected:
  OutboxTest() {
    kafka.create_topic("control.devices", 1, kafka::Cleanup::kCompact);
    kafka.create_topic("audit", 1);
    const auto made =
        store.run(Scope::all_tenants(), {}, [](Transaction& t) { return t.ensure_tenant("blue"); });
    EXPECT_TRUE(made) << made.error().message();
    EXPECT_TRUE(publish());  // leads from now on, and has found nothing of another leader
  }

  Resource create(ResourceKind kind, const Json& body) {
    return catalog.create(blue, kind, body, {})->resource;
  }
  Result<> publish() { return outbox.run({}); }
  std::vector<std::string> keys(std::string_view topic) {
    std::vector<std::string> out;
    for (const auto& record : kafka.records(topic))
      out.push_back(record.key + (record.value ? "" : " gone"));
    return out;
  }
  std::string waiting() {
    return database.database.query_value("SELECT count(*) FROM device_registry.outbox");
  }

  RegistryDatabase database;
  FakeKafka kafka{database.opened.clock};
  kafka::Sender sender{kafka.producer(), database.opened.clock};
  PostgresStore store{database.pool()};
  FakeVault vault;
  Catalog catalog{store, vault, database.opened.clock, database.opened.random};
  SimClock time;
  outbox::Relay outbox{database.pool(), sender, time, database.opened.metrics, options(3)};
  Caller blue = admin_of("blue");
};

TEST_F(OutboxTest, PublishesCommitsInOrderWithTheirTrace) {
  const Resource device = create(ResourceKind::kDevice, {{"device_class", "m"}});
  ASSERT_TRUE(catalog.set_device_status(blue, device.id, DeviceStatus::kQuarantined, "", {}));
  ASSERT_TRUE(catalog.remove(blue, ResourceKind::kDevice, device.id, {}));
  ASSERT_TRUE(publish());
  const std::string key = "blue/" + device.id;
  EXPECT_EQ(keys("control.devices"),
            (std::vector<std::string>{"blue/$class/m", key, key, key + " gone"}));
  EXPECT_EQ(keys("audit"), (std::vector<std::string>{"blue", "blue", "blue"}));
  EXPECT_EQ(waiting(), "0");

  proto::DeviceChange change;
  const auto record = kafka.records("control.devices")[2];
  ASSERT_TRUE(change.ParseFromString(*record.value));
  EXPECT_EQ(change.device().status(), proto::DEVICE_STATUS_QUARANTINED);
  EXPECT_EQ(record.headers,
            (std::vector<std::pair<std::string, std::string>>{{"traceparent", blue.traceparent}}));
}

TEST_F(OutboxTest, KeepsWhatKafkaDidNotTake) {
  const Resource device = create(ResourceKind::kDevice, {{"device_class", "m"}});
  kafka.fail_next_appends(1, ErrorCode::kUnavailable);
  EXPECT_FALSE(publish());
  EXPECT_EQ(waiting(), "3");
  EXPECT_TRUE(publish());
  EXPECT_EQ(waiting(), "0");
  // The batch went out again as a whole: what was stored the first time is there twice, in order.
  const auto published = keys("control.devices");
  EXPECT_EQ(published[published.size() - 2], "blue/$class/m");
  EXPECT_EQ(published.back(), "blue/" + device.id);
}

TEST_F(OutboxTest, PublishesNothingOfARefusedWrite) {
  create(ResourceKind::kDevice, {{"device_class", "m"}, {"external_id", "e"}});
  ASSERT_TRUE(publish());
  const std::size_t before = keys("control.devices").size() + keys("audit").size();
  EXPECT_FALSE(catalog.create(blue, ResourceKind::kDevice,
                              {{"device_class", "other"}, {"external_id", "e"}}, {}));
  EXPECT_TRUE(catalog.create(blue, ResourceKind::kDevice, {{"device_class", "other"}},
                             {.is_dry_run = true}));
  ASSERT_TRUE(publish());
  EXPECT_EQ(keys("control.devices").size() + keys("audit").size(), before);
}

TEST_F(OutboxTest, OneInstancePublishesAtATime) {
  RegistryPool other_pool(database.database.config_of_ordinary_role());
  outbox::Relay other(*other_pool.pool, sender, time, other_pool.metrics, options());
  create(ResourceKind::kFleet, {{"fleet_id", "f"}});
  ASSERT_TRUE(other.run({}));
  EXPECT_EQ(waiting(), "1");
  ASSERT_TRUE(publish());
  EXPECT_EQ(waiting(), "0");
}

TEST_F(OutboxTest, ANewLeaderWaitsForWhatTheOldOneMayStillBeSending) {
  create(ResourceKind::kFleet, {{"fleet_id", "f"}});
  kafka.fail_next_appends(1, ErrorCode::kUnavailable);
  EXPECT_FALSE(publish());                 // the old one has read it, and may be sending it
  database.database.terminate_backends();  // and is cut off
  RegistryPool next_pool(database.database.config_of_ordinary_role());
  outbox::Relay next(*next_pool.pool, sender, time, next_pool.metrics, options());
  ASSERT_TRUE(eventually([&] {
    return next.run({}) && next_pool.metrics.scrape().contains("sluice_outbox_leader 1");
  }));
  EXPECT_EQ(waiting(), "1");
  time.advance(std::chrono::seconds(5));
  ASSERT_TRUE(next.run({}));
  EXPECT_EQ(waiting(), "1");  // the producer of the old one may be a little late
  time.advance(std::chrono::seconds(1));
  ASSERT_TRUE(next.run({}));
  EXPECT_EQ(waiting(), "0");
  // Once it leads it waits no more.
  catalog.create(blue, ResourceKind::kFleet, {{"fleet_id", "g"}}, {}).value();
  ASSERT_TRUE(next.run({}));
  EXPECT_EQ(waiting(), "0");
}

TEST_F(OutboxTest, TellsHowMuchWaitsAndSinceWhen) {
  const auto shown = [&](std::string_view line) {
    return database.opened.metrics.scrape().contains("sluice_outbox_" + std::string(line) + "\n");
  };
  ASSERT_TRUE(outbox.measure());
  EXPECT_TRUE(shown("records 0"));
  EXPECT_TRUE(shown("oldest_seconds 0"));
  create(ResourceKind::kFleet, {{"fleet_id", "f"}});
  create(ResourceKind::kFleet, {{"fleet_id", "g"}});
  time.advance(std::chrono::seconds(5));
  ASSERT_TRUE(outbox.measure());
  EXPECT_TRUE(shown("records 2"));
  EXPECT_TRUE(shown("oldest_seconds 0"));  // seen for the first time
  time.advance(std::chrono::seconds(30));
  ASSERT_TRUE(outbox.measure());
  EXPECT_TRUE(shown("oldest_seconds 30"));
  ASSERT_TRUE(publish());
  time.advance(std::chrono::seconds(5));
  ASSERT_TRUE(outbox.measure());
  EXPECT_TRUE(shown("records 0"));
  EXPECT_TRUE(shown("oldest_seconds 0"));
}

}  // namespace
}  // namespace sluice::registry::testing
