// What the topic `audit` tells of operators, read from Kafka as an auditor's program would.
#include "registry_process.h"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include <sluice/common/v1/audit_record.pb.h>
#include <sluice/kafka/table_reader.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice::registry::testing {
namespace {

using common::v1::AuditRecord;

/// Everything in the topic `audit` of one registry, from its beginning.
class AuditReader final : private kafka::TableHandler {
 public:
  explicit AuditReader(const RegistryProcess& registry)
      : config_{.brokers = sluice::testing::require_env("SLUICE_TEST_KAFKA_BROKERS"),
                .name_space = registry.kafka_namespace()},
        reader_({.topic = "audit"}, clock_, log_, metrics_,
                kafka::open_table_consumer(config_, {}, "audit", clock_, log_).value(), *this) {}

  /// Reads until there is a record like that; empty when there is none in time.
  AuditRecord find(const std::function<bool(const AuditRecord&)>& is_it) {
    AuditRecord found;
    static_cast<void>(sluice::testing::eventually([&] {
      EXPECT_TRUE(reader_.step(std::chrono::milliseconds(50)));
      const auto match = std::ranges::find_if(records_, is_it);
      if (match != records_.end()) found = *match;
      return match != records_.end();
    }));
    return found;
  }
  /// The bytes of all that was read so far, keys included.
  const std::string& bytes() const { return bytes_; }

 private:
  void on_change(const kafka::RecordView& record) override {
    bytes_ += record.key;
    bytes_ += record.value.value_or("");
    AuditRecord parsed;
    EXPECT_TRUE(parsed.ParseFromString(std::string(record.value.value_or(""))));
    EXPECT_EQ(record.key, parsed.tenant());
    records_.push_back(std::move(parsed));
  }

  const kafka::Config config_;
  SystemClock clock_;
  Registry metrics_;
  Logger log_{"audit_test", LogLevel::kError, clock_, make_fd_log_sink(STDERR_FILENO)};
  std::vector<AuditRecord> records_;
  std::string bytes_;
  kafka::TableReader reader_;
};

TEST(Audit, TellsWhoChangedWhatAndNoSecret) {
  RegistryProcess& registry = shared_registry();
  const auto tenant = registry.make_tenant();
  const Json device = registry
                          .post("/v1/devices", tenant.operator_,
                                {{"device_class", "sensor"}, {"model", "private-model-name"}})
                          .json();
  const std::string id = device["device_id"];
  ASSERT_EQ(registry
                .call({"PATCH", "/v1/devices/" + id, tenant.operator_,
                       R"({"model":"another-private-name"})"})
                .status,
            200);

  AuditReader audit(registry);
  const AuditRecord created = audit.find([&](const AuditRecord& record) {
    return record.action() == "device.create" && record.target() == "device/" + id;
  });
  EXPECT_EQ(created.tenant(), tenant.id);
  EXPECT_EQ(created.service(), "device-registry");
  EXPECT_EQ(created.outcome(), common::v1::AUDIT_OUTCOME_DONE);
  EXPECT_EQ(created.actor().kind(), common::v1::AUDIT_ACTOR_KIND_API_KEY);
  EXPECT_EQ(created.actor().id(), tenant.operator_.substr(4, 12));  // the key's id, in its text
  EXPECT_EQ(created.actor().tenant(), tenant.id);
  EXPECT_EQ(created.actor().address(), "127.0.0.1");
  EXPECT_EQ(created.record_id().size(), 16U);
  const AuditRecord updated = audit.find([&](const AuditRecord& record) {
    return record.action() == "device.update" && record.target() == "device/" + id;
  });
  ASSERT_EQ(updated.changed_fields_size(), 1);
  EXPECT_EQ(updated.changed_fields(0), "model");

  for (const std::string& secret :
       {tenant.admin.substr(17), tenant.operator_.substr(17),
        device["auth_token"].get<std::string>().substr(17), std::string("private-")}) {
    EXPECT_EQ(audit.bytes().find(secret), std::string::npos) << secret;
  }
}

TEST(Audit, TellsOfARefusalWithItsReason) {
  RegistryProcess& registry = shared_registry();
  const auto tenant = registry.make_tenant();
  ASSERT_EQ(registry.post("/v1/devices", tenant.viewer, {{"device_class", "sensor"}}).status, 403);

  AuditReader audit(registry);
  const AuditRecord refused = audit.find([&](const AuditRecord& record) {
    return record.tenant() == tenant.id && record.outcome() == common::v1::AUDIT_OUTCOME_REFUSED;
  });
  EXPECT_EQ(refused.action(), "device.create");
  EXPECT_EQ(refused.actor().id(), tenant.viewer.substr(4, 12));
  EXPECT_NE(refused.reason(), "");
}

}  // namespace
}  // namespace sluice::registry::testing
