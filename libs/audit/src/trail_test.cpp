#include <sluice/audit/trail.h>

#include <chrono>

#include <sluice/common/v1/audit_record.pb.h>
#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::audit {
namespace {

using namespace std::chrono_literals;

class TrailTest : public ::testing::Test {
 protected:
  TrailTest() { kafka.create_topic(kTopic, 1); }

  testing::SimClock clock;
  testing::SimRandom random{1};
  Registry metrics;
  testing::FakeKafka kafka{clock};
  kafka::Sender sender{kafka.producer(), clock};
  Trail trail{"tester", sender, clock, random, metrics};
  const auth::Principal caller{.tenant = TenantId("blue"),
                               .subject = "ci",
                               .role = auth::Role::kViewer,
                               .credential_id = "key1"};
};

TEST_F(TrailTest, TellsWhoDidWhatAndFromWhere) {
  http::Request request;
  request.caller = caller;
  request.peer.ip = "192.0.2.7";
  common::v1::AuditRecord record;
  ASSERT_TRUE(record.ParseFromString(trail.done(
      request, {.action = "schema.register", .target = "schema/m/1.0", .changed_fields = {"x"}})));
  EXPECT_EQ(record.service(), "tester");
  EXPECT_EQ(record.tenant(), "blue");
  EXPECT_EQ(record.actor().id(), "key1");
  EXPECT_EQ(record.actor().kind(), common::v1::AUDIT_ACTOR_KIND_API_KEY);
  EXPECT_EQ(record.actor().address(), "192.0.2.7");
  EXPECT_EQ(record.action(), "schema.register");
  EXPECT_EQ(record.outcome(), common::v1::AUDIT_OUTCOME_DONE);
  EXPECT_EQ(record.record_id().size(), 16U);
}

TEST_F(TrailTest, SendsRefusalsAndNothingElse) {
  http::AuditEntry entry;
  entry.caller = caller;
  entry.reason = "role_too_low";
  trail.record(entry);  // done: the transaction tells of it
  entry.outcome = http::AuditEntry::Outcome::kRefused;
  trail.record(entry);
  entry.caller.reset();
  trail.record(entry);
  ASSERT_TRUE(sender.flush(10s));
  const auto records = kafka.records(kTopic);
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].key, "blue");
  common::v1::AuditRecord record;
  ASSERT_TRUE(record.ParseFromString(*records[1].value));
  EXPECT_EQ(record.actor().kind(), common::v1::AUDIT_ACTOR_KIND_ANONYMOUS);
  EXPECT_EQ(record.reason(), "role_too_low");
}

TEST_F(TrailTest, SendsTheRefusalOfAnotherDoorAsItIs) {
  common::v1::AuditRecord refused;
  refused.set_tenant("blue");
  refused.set_reason("unknown_device");
  refused.set_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  trail.send_refusal(refused);
  ASSERT_TRUE(sender.flush(10s));
  const auto records = kafka.records(kTopic);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].key, "blue");
  EXPECT_EQ(*records[0].value, refused.SerializeAsString());
  ASSERT_EQ(records[0].headers.size(), 1U);
  kafka.set_reachable(false);
  trail.send_refusal(refused);  // returns
}

TEST_F(TrailTest, NeverWaitsAndCountsWhatIsDropped) {
  kafka.fail_next_appends(1, ErrorCode::kUnavailable);
  http::AuditEntry entry;
  entry.outcome = http::AuditEntry::Outcome::kRefused;
  trail.record(entry);
  static_cast<void>(sender.flush(10s));
  EXPECT_TRUE(metrics.scrape().contains("sluice_audit_dropped_total 1\n"));
}

}  // namespace
}  // namespace sluice::audit
