#include "adapters/postgres_presence.h"

#include "adapters/postgres_transaction.h"
#include "core/catalog.h"
#include "testing/device_events.h"
#include "testing/fake_vault.h"
#include "testing/registry_database.h"
#include "testing/requests.h"

#include <algorithm>
#include <format>
#include <string>
#include <vector>

#include <sluice/postgres/transaction.h>
#include <sluice/testing/sim_random.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::registry::testing {
namespace {

using ::testing::ElementsAre;
using Event = device::v1::DeviceEvent;
using Ids = std::vector<std::string>;

class PostgresPresenceTest : public ::testing::Test {
 protected:
  PostgresPresenceTest() {
    const auto made = store.run(Scope::all_tenants(), {}, [](Transaction& t) -> Result<> {
      for (const char* tenant : {"blue", "red"}) SLUICE_TRY(t.ensure_tenant(tenant));
      return {};
    });
    EXPECT_TRUE(made) << made.error().message();
  }

  std::string make_device(const Caller& caller, const std::string& external_id = "") {
    Json body{{"device_class", "m"}};
    if (!external_id.empty()) body["external_id"] = external_id;
    const auto written = catalog.create(caller, ResourceKind::kDevice, body, {});
    EXPECT_TRUE(written) << written.error().message();
    return written ? written->resource.id : "";
  }
  Result<std::vector<PresenceOutcome>> merge(const std::vector<Event>& events) {
    PresenceFold fold;
    for (const Event& event : events) {
      fold.add(read_device_event(key_of(event), event.SerializeAsString()).value());
    }
    std::vector<const PresenceFold::Change*> changes;
    for (const auto& change : fold.changes()) changes.push_back(&change);
    return presence.merge(changes);
  }
  Resource device(const Caller& caller, const std::string& id) {
    const auto found = catalog.get(caller, ResourceKind::kDevice, id);
    EXPECT_TRUE(found) << found.error().message();
    return found ? *found : Resource();
  }
  Json connection(const std::string& id) {
    return device(blue, id).fields.value("connection", Json());
  }
  Ids search(const std::string& filter) {
    const auto page = catalog.list(blue, ResourceKind::kDevice, {.filter = filter});
    EXPECT_TRUE(page) << filter << ": " << page.error().message();
    Ids ids;
    for (const Resource& each : page->items) ids.push_back(text_at(each.fields, "external_id"));
    std::ranges::sort(ids);
    return ids;
  }
  /// Everything that is kept, and when each row was last written.
  std::string rows() {
    return database.database.query_value(
        "SELECT coalesce(string_agg(p::text || p.xmin::text, ',' ORDER BY device_id), '') FROM "
        "device_registry.device_presence AS p");
  }

  RegistryDatabase database;
  PostgresStore store{database.pool()};
  PostgresPresence presence{database.pool()};
  FakeVault vault;
  Catalog catalog{store, vault, database.opened.clock, database.opened.random};
  Caller blue = admin_of("blue");
  Caller red = admin_of("red");
};

TEST_F(PostgresPresenceTest, ADeviceShowsItsConnection) {
  const std::string id = make_device(blue);
  EXPECT_FALSE(device(blue, id).fields.contains("connection"));
  ASSERT_THAT(
      merge({session_opened("blue", id, 7, 1000), certificate_issued("blue", id, 500)}).value(),
      ElementsAre(PresenceOutcome::kChanged));
  EXPECT_EQ(connection(id), (Json{{"connected", true},
                                  {"session_epoch", 7},
                                  {"connected_at", "1970-01-01T00:00:01.000Z"},
                                  {"front", "front-1"},
                                  {"protocol", "mqtt/5"},
                                  {"credential_id", "credential-1"},
                                  {"address", "192.0.2.7"}}));
  EXPECT_EQ(device(blue, id).fields["last_seen_at"], "1970-01-01T00:00:01.000Z");
  EXPECT_EQ(device(blue, id).fields["provisioned_at"], "1970-01-01T00:00:00.500Z");

  ASSERT_TRUE(merge({session_closed("blue", id, 7, 253'402'300'799'999, "keep_alive_timeout")}));
  EXPECT_EQ(connection(id)["connected"], false);
  EXPECT_EQ(connection(id)["connected_at"], "1970-01-01T00:00:01.000Z");
  EXPECT_EQ(connection(id)["disconnected_at"], "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(connection(id)["disconnect_reason"], "keep_alive_timeout");
}

TEST_F(PostgresPresenceTest, PresenceMovesNeitherRevisionNorOutbox) {
  const std::string id = make_device(blue);
  const std::int64_t revision = device(blue, id).revision;
  const std::string waiting =
      database.database.query_value("SELECT count(*) FROM device_registry.outbox");
  ASSERT_TRUE(merge({session_opened("blue", id, 7, 1000)}));
  EXPECT_EQ(device(blue, id).revision, revision);
  EXPECT_EQ(database.database.query_value("SELECT count(*) FROM device_registry.outbox"), waiting);
}

TEST_F(PostgresPresenceTest, AnswersOfChangesShowItToo) {
  const std::string id = make_device(blue);
  ASSERT_TRUE(merge({session_opened("blue", id, 7, 1000)}));
  const auto written = catalog.update(blue, ResourceKind::kDevice, id, {{"model", "M"}}, {});
  ASSERT_TRUE(written) << written.error().message();
  EXPECT_EQ(written->resource.fields["connection"]["connected"], true);
  EXPECT_EQ(device(blue, id).fields, written->resource.fields);
}

TEST_F(PostgresPresenceTest, AnOlderSessionChangesNothing) {
  const std::string id = make_device(blue);
  ASSERT_TRUE(merge({session_opened("blue", id, 7, 1000)}));
  const std::string before = rows();
  EXPECT_THAT(merge({session_closed("blue", id, 6, 900)}).value(),
              ElementsAre(PresenceOutcome::kUnchanged));
  EXPECT_THAT(merge({session_opened("blue", id, 5, 100)}).value(),
              ElementsAre(PresenceOutcome::kUnchanged));
  EXPECT_EQ(rows(), before);
  // A later time of an older session tells when the device was seen, and nothing else.
  EXPECT_THAT(merge({session_closed("blue", id, 6, 2000)}).value(),
              ElementsAre(PresenceOutcome::kChanged));
  EXPECT_EQ(connection(id)["connected"], true);
  EXPECT_EQ(connection(id)["session_epoch"], 7);
  EXPECT_EQ(device(blue, id).fields["last_seen_at"], "1970-01-01T00:00:02.000Z");
}

TEST_F(PostgresPresenceTest, WhatIsKnownIsNotWrittenAgain) {
  const std::string id = make_device(blue);
  const std::vector<Event> events{session_opened("blue", id, 7, 1000),
                                  session_closed("blue", id, 7, 2000),
                                  certificate_issued("blue", id, 500)};
  ASSERT_TRUE(merge(events));
  const std::string before = rows();
  for (const Event& event : events) {
    EXPECT_THAT(merge({event}).value(), ElementsAre(PresenceOutcome::kUnchanged));
  }
  EXPECT_EQ(rows(), before);
}

TEST_F(PostgresPresenceTest, MergesAsTheCoreDoes) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    sluice::testing::SimRandom random(seed);
    const std::string id = make_device(blue);
    PresenceFold all;
    for (std::int64_t i = random.between(1, 10); i > 0; --i) {
      const auto epoch = static_cast<std::uint64_t>(random.between(1, 3));
      const std::int64_t at_ms = random.between(1, 4);
      Event event = session_opened("blue", id, epoch, at_ms);
      event.mutable_session_opened()->set_front(std::format("f{}", random.between(1, 3)));
      switch (random.between(0, 5)) {
        case 0:
          event = certificate_issued("blue", id, at_ms);
          break;
        case 1:
          event = device_seen("blue", id, at_ms);
          break;
        case 2:
        case 3:
          event =
              session_closed("blue", id, epoch, at_ms, std::format("r{}", random.between(1, 3)));
          break;
        default:
          break;
      }
      all.add(read_device_event(key_of(event), event.SerializeAsString()).value());
      ASSERT_TRUE(merge({event}));
    }
    Json expected = Json::object();
    show_presence(all.changes().begin()->second, expected);
    Json found = Json::object();
    const Json fields = device(blue, id).fields;
    for (const char* name : {"connection", "last_seen_at", "provisioned_at"}) {
      if (fields.contains(name)) found[name] = fields[name];
    }
    ASSERT_EQ(found, expected) << "seed " << seed;
  }
}

TEST_F(PostgresPresenceTest, DevicesThatAreNotThereArePassedOver) {
  const std::string mine = make_device(blue);
  const std::string gone = make_device(blue);
  const std::string foreign = make_device(red);
  ASSERT_TRUE(catalog.remove(blue, ResourceKind::kDevice, gone, {}));
  const auto outcomes =
      merge({session_opened("blue", mine, 1, 1000), session_opened("blue", gone, 1, 1000),
             session_opened("blue", foreign, 1, 1000), session_opened("green", mine, 1, 1000)});
  ASSERT_TRUE(outcomes) << outcomes.error().message();
  EXPECT_THAT(*outcomes,
              ElementsAre(PresenceOutcome::kChanged, PresenceOutcome::kUnknownDevice,
                          PresenceOutcome::kUnknownDevice, PresenceOutcome::kUnknownDevice));
  EXPECT_FALSE(device(red, foreign).fields.contains("connection"));
}

TEST_F(PostgresPresenceTest, ADeletedDeviceTakesItsPresenceAlong) {
  const std::string id = make_device(blue);
  ASSERT_TRUE(merge({session_opened("blue", id, 1, 1000)}));
  ASSERT_TRUE(catalog.remove(blue, ResourceKind::kDevice, id, {}));
  EXPECT_EQ(rows(), "");
}

TEST_F(PostgresPresenceTest, DevicesAreFoundByWhoIsConnectedAndWasSeenWhen) {
  const std::string on = make_device(blue, "on");
  const std::string off = make_device(blue, "off");
  make_device(blue, "never");
  ASSERT_TRUE(merge({session_opened("blue", on, 1, 1000), session_opened("blue", off, 1, 1000),
                     session_closed("blue", off, 1, 2000), certificate_issued("blue", off, 1)}));
  ASSERT_TRUE(merge({session_opened("red", make_device(red, "other"), 1, 1000)}));
  EXPECT_EQ(search("connected = true"), Ids{"on"});
  EXPECT_EQ(search("connected != false"), Ids{"on"});
  EXPECT_EQ(search("connected = false"), (Ids{"never", "off"}));
  EXPECT_EQ(search("connected != true"), (Ids{"never", "off"}));
  EXPECT_EQ(search("last_seen_at = null"), Ids{"never"});
  EXPECT_EQ(search("last_seen_at != null"), (Ids{"off", "on"}));
  EXPECT_EQ(search("last_seen_at < \"1970-01-01T00:00:01.5Z\""), Ids{"on"});
  EXPECT_EQ(search("last_seen_at != \"1970-01-01T00:00:01Z\""), (Ids{"never", "off"}));
  EXPECT_EQ(search("provisioned_at != null AND connected = false"), Ids{"off"});
}

TEST_F(PostgresPresenceTest, ConnectedDevicesAreFoundThroughTheirIndex) {
  database.database.execute(
      "SET sluice.tenant = '*'; SET search_path = device_registry; "
      "INSERT INTO device_classes (tenant_id, device_class_id) VALUES ('blue', 'm'); "
      "INSERT INTO devices (device_id, tenant_id, device_class) SELECT gen_random_uuid(), 'blue', "
      "'m' FROM generate_series(1, 5000); "
      "INSERT INTO device_presence (tenant_id, device_id, session_epoch, connected_at, "
      "disconnected_at) SELECT tenant_id, device_id, 1, now(), CASE WHEN random() < 0.95 THEN "
      "now() END FROM devices; ANALYZE devices, device_presence");
  ListQuery query{.filter = *parse_filter("connected = true", info_of(ResourceKind::kDevice)),
                  .order = *parse_order("", info_of(ResourceKind::kDevice)),
                  .limit = 10};
  const postgres::Statement list = list_statement(ResourceKind::kDevice, TenantId("blue"), query);
  std::string plan;
  const auto explained = postgres::run_transaction(
      database.pool(), {.tenant = TenantId("blue")}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY_ASSIGN(
            const postgres::Rows lines,
            sql.query(postgres::Sql::from_trusted_text("EXPLAIN " + list.text()), list.params()));
        for (const postgres::Row& line : lines) plan += line.get<std::string>("QUERY PLAN") + "\n";
        return {};
      });
  ASSERT_TRUE(explained) << explained.error().message();
  EXPECT_NE(plan.find("device_presence_connected"), std::string::npos) << plan;
}

TEST_F(PostgresPresenceTest, AnOperatorsChangeOfTheDeviceHoldsNothingUp) {
  const std::string id = make_device(blue);
  const auto held = store.run(Scope::of(TenantId("blue")), {}, [&](Transaction& t) -> Result<> {
    SLUICE_TRY(t.find(ResourceKind::kDevice, id, Transaction::Lock::kUpdate));
    const auto merged = merge({session_opened("blue", id, 1, 1000)});
    EXPECT_TRUE(merged) << merged.error().message();
    return {};
  });
  EXPECT_TRUE(held) << held.error().message();
  EXPECT_EQ(connection(id)["connected"], true);
}

}  // namespace
}  // namespace sluice::registry::testing
