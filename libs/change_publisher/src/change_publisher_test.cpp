#include <sluice/change_publisher/change_publisher.h>

#include <sluice/common/v1/audit_record.pb.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/testing/captured_log.h>

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(ChangePublisher, AFloodOfRefusalsFillsAShareOfItsOwn) {
  const postgres::testing::TestDatabase database;
  const SystemClock clock;
  SystemRandom random;
  const auto log = std::make_shared<testing::CapturedLog>();
  const Logger logger = log->logger("test", clock);
  Registry metrics;
  const auto pool =
      postgres::Pool::open(database.config(), {.schema = "public", .application_name = "t"}, clock,
                           random, metrics, logger);
  ASSERT_TRUE(pool) << pool.error().message();
  // Nobody listens on port 1, so nothing that is taken ever leaves.
  ChangePublisher::Options options{.service = "some-service"};
  options.kafka.brokers = "127.0.0.1:1";
  const auto publisher = ChangePublisher::open(options, **pool, clock, random, logger, metrics);
  ASSERT_TRUE(publisher) << publisher.error().message();
  common::v1::AuditRecord record;
  record.set_reason("role_too_low");
  for (int i = 0; i < 2'100; ++i) (*publisher)->audit().send_refusal(record);
  EXPECT_TRUE(metrics.scrape().contains("sluice_audit_dropped_total 100\n")) << metrics.scrape();
  EXPECT_FALSE((*publisher)->is_ready());
}

}  // namespace
}  // namespace sluice
