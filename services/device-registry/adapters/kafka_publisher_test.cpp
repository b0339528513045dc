#include "adapters/kafka_publisher.h"

#include "testing/registry_database.h"

#include <gtest/gtest.h>

namespace sluice::registry::testing {
namespace {

TEST(KafkaPublisher, AFloodOfRefusalsFillsAShareOfItsOwn) {
  RegistryDatabase database;
  RegistryPool& opened = database.opened;
  // Nobody listens on port 1, so nothing that is taken ever leaves.
  KafkaPublisher::Options options{.kafka = {}, .producer = {}};
  options.kafka.brokers = "127.0.0.1:1";
  const Logger logger = opened.log->logger("test", opened.clock);
  auto publisher = KafkaPublisher::open(options, *opened.pool, opened.clock, opened.random, logger,
                                        opened.metrics);
  ASSERT_TRUE(publisher) << publisher.error().message();
  common::v1::AuditRecord record;
  record.set_reason("role_too_low");
  for (int i = 0; i < 2'100; ++i) (*publisher)->audit().record(record);
  EXPECT_TRUE(opened.metrics.scrape().contains("sluice_registry_audit_dropped_total 100\n"))
      << opened.metrics.scrape();
}

}  // namespace
}  // namespace sluice::registry::testing
