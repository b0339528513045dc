// Who is connected, as the program learns it from device.events and tells it over HTTP.
#include "adapters/postgres_presence.h"
#include "adapters/presence_writer.h"
#include "registry_process.h"
#include "testing/device_events.h"
#include "testing/registry_database.h"

#include <algorithm>
#include <csignal>
#include <format>
#include <map>
#include <string>
#include <vector>

#include <sluice/kafka/consumer_loop.h>
#include <sluice/kafka/producer.h>
#include <sluice/kafka/sender.h>
#include <sluice/kafka/topic_admin.h>
#include <sluice/log/logger.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice::registry::testing {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;
using Event = device::v1::DeviceEvent;

/// The topic of one registry, as fronts write it and as another reader would read it.
class EventTopic {
 public:
  explicit EventTopic(const RegistryProcess& registry)
      : config_{.brokers = sluice::testing::require_env("SLUICE_TEST_KAFKA_BROKERS"),
                .name_space = registry.kafka_namespace()},
        database_(registry.database().config_of_ordinary_role()),
        sender_(kafka::open_producer(config_, {}, clock_, random_, log_, metrics_).value(),
                clock_) {}

  /// Returns when Kafka has them, in this order for each device.
  void send(const std::vector<Event>& events) {
    std::vector<std::string> keys, values;
    for (const Event& event : events) {
      keys.push_back(key_of(event));
      values.push_back(event.SerializeAsString());
    }
    std::vector<kafka::Record> records;
    for (std::size_t i = 0; i < events.size(); ++i) {
      records.push_back({.topic = "device.events", .key = keys[i], .value = values[i]});
    }
    const auto sent = sender_.send_and_wait(records, 30s);
    ASSERT_TRUE(sent) << sent.error().message();
  }

  /// Gives the database everything that the topic holds, from its beginning.
  void replay() {
    const std::string group = fresh_id("replay");
    PostgresPresence presence(*database_.pool);
    Registry metrics;
    PresenceWriter writer(presence, log_, metrics);
    kafka::ConsumerLoop loop(
        {}, clock_, random_, log_, metrics,
        kafka::open_group_consumer(config_, {}, group, {"device.events"}, clock_, log_).value(),
        writer);
    const auto admin = kafka::open_topic_admin(config_, log_).value();
    EXPECT_TRUE(eventually([&] {
      (void)loop.step(50ms);
      if (!loop.assigned()) return false;
      const auto lag = admin->group_lag(group, "device.events", 5s);
      return lag && !lag->empty() && std::ranges::all_of(*lag, [](const auto& partition) {
               return partition.records == 0;
             });
    }));
    loop.stop();
  }

 private:
  const kafka::Config config_;
  SystemClock clock_;
  SystemRandom random_;
  Registry metrics_;
  Logger log_{"presence_test", LogLevel::kError, clock_, make_fd_log_sink(STDERR_FILENO)};
  RegistryPool database_;
  kafka::Sender sender_;
};

class PresenceTest : public ::testing::Test {
 protected:
  PresenceTest() { registry.start(); }

  std::string make_device() {
    const Answer made =
        registry.post("/v1/devices", tenant().operator_, {{"device_class", "sensor"}});
    EXPECT_EQ(made.status, 201) << made.body;
    return made.json()["device_id"];
  }
  const RegistryProcess::Tenant& tenant() {
    if (tenant_.id.empty()) tenant_ = registry.make_tenant();
    return tenant_;
  }
  Json device(const std::string& id) {
    return registry.get("/v1/devices/" + id, tenant().viewer).json();
  }
  /// The device's connection; null where nothing was told of it.
  Json connection(const std::string& id) { return device(id).value("connection", Json()); }
  bool is_connected(const std::string& id, std::uint64_t epoch) {
    const Json now = connection(id);
    return now.is_object() && now["connected"] == true && now["session_epoch"] == epoch;
  }
  std::size_t count(const std::string& filter) {
    return registry.get("/v1/devices?page_size=1000&filter=" + filter, tenant().viewer)
        .json()["items"]
        .size();
  }
  /// Everything that is kept, and by which transaction each row was last written.
  std::string rows() {
    return registry.database().query_value(
        "SELECT coalesce(string_agg(p::text || p.xmin::text, ',' ORDER BY device_id), '') FROM "
        "device_registry.device_presence AS p");
  }

  // A killed member's partitions are free after this long.
  RegistryProcess registry{{{"SLUICE_KAFKA_CONSUMER_SESSION_TIMEOUT", "6s"},
                            {"SLUICE_KAFKA_CONSUMER_COMMIT_INTERVAL", "200ms"}}};
  EventTopic topic{registry};

 private:
  RegistryProcess::Tenant tenant_;
};

TEST_F(PresenceTest, ADevicesConnectionIsShownAndReplayingItsEventsChangesNothing) {
  const std::string id = make_device();
  const std::string etag = registry.get("/v1/devices/" + id, tenant().viewer).header("ETag");
  EXPECT_TRUE(connection(id).is_null());
  topic.send({session_opened(tenant().id, id, 4, 1000), certificate_issued(tenant().id, id, 500)});
  ASSERT_TRUE(eventually([&] { return is_connected(id, 4); })) << device(id);
  EXPECT_EQ(connection(id)["front"], "front-1");
  EXPECT_EQ(count("connected%20%3D%20true"), 1U);
  EXPECT_EQ(count("connected%20%3D%20false"), 0U);

  // The end of an older session comes late: it has told its time, so all before it was read too.
  topic.send({session_closed(tenant().id, id, 3, 2000, "taken_over")});
  ASSERT_TRUE(eventually([&] { return device(id)["last_seen_at"] == "1970-01-01T00:00:02.000Z"; }));
  EXPECT_TRUE(is_connected(id, 4)) << device(id);
  EXPECT_EQ(device(id)["provisioned_at"], "1970-01-01T00:00:00.500Z");

  topic.send({session_closed(tenant().id, id, 4, 3000)});
  ASSERT_TRUE(eventually([&] { return connection(id)["connected"] == false; })) << device(id);
  EXPECT_EQ(count("connected%20%3D%20false"), 1U);
  EXPECT_EQ(registry.get("/v1/devices/" + id, tenant().viewer).header("ETag"), etag);

  const std::string before = rows();
  ASSERT_NE(before, "");
  topic.replay();
  EXPECT_EQ(rows(), before);
}

TEST_F(PresenceTest, AnotherTenantsEventsReachNoDeviceOfThisOne) {
  const std::string id = make_device();
  const std::string canary = make_device();
  const RegistryProcess::Tenant other = registry.make_tenant();
  topic.send({session_opened(other.id, id, 9, 1000)});
  topic.send({session_opened(tenant().id, canary, 1, 1000)});
  ASSERT_TRUE(eventually([&] { return is_connected(canary, 1); }));
  topic.replay();  // now the other event was read, too
  EXPECT_TRUE(connection(id).is_null()) << device(id);
}

TEST_F(PresenceTest, KilledInAStreamOfEventsItReachesTheSameState) {
  constexpr int kDevices = 40;
  constexpr int kRounds = 100;
  std::vector<std::string> ids;
  for (int i = 0; i < kDevices; ++i) ids.push_back(make_device());
  PresenceFold expected;
  sluice::testing::SimRandom random(11);
  int kills = 0;
  for (int round = 1; round <= kRounds; ++round) {
    std::vector<Event> events;
    for (const std::string& id : ids) {
      const auto epoch = static_cast<std::uint64_t>(round);
      events.push_back(session_opened(tenant().id, id, epoch, round * 1000));
      if (random.chance(0.5)) {
        events.push_back(session_closed(tenant().id, id, epoch, round * 1000 + 500));
      }
    }
    for (const Event& event : events) {
      expected.add(read_device_event(key_of(event), event.SerializeAsString()).value());
    }
    topic.send(events);
    if (round % 40 != 0) continue;
    // It has begun to read, and is killed somewhere in the middle of what is there.
    ASSERT_TRUE(eventually([&] { return !connection(ids.front()).is_null(); }));
    registry.process().signal(SIGKILL);
    ASSERT_EQ(registry.process().wait(),
              sluice::testing::ExitStatus({.code = {}, .signal = SIGKILL}));
    registry.start();
    ++kills;
  }
  EXPECT_EQ(kills, 2);
  for (const auto& [key, presence] : expected.changes()) {
    Json shown = Json::object();
    show_presence(presence, shown);
    Json found;
    EXPECT_TRUE(eventually(
        [&] {
          found = device(key.device);
          return found.value("connection", Json()) == shown["connection"] &&
                 found.value("last_seen_at", Json()) == shown["last_seen_at"];
        },
        120s))
        << found << " " << shown;
  }
}

}  // namespace
}  // namespace sluice::registry::testing
