// What followers of control.devices are told by a registry whose database was restored from a
// backup.
#include "registry_process.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include <sluice/device/v1/device_change.pb.h>
#include <sluice/kafka/table_reader.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/temp_dir.h>

#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice::registry::testing {
namespace {

namespace proto = ::sluice::device::v1;
using sluice::testing::eventually;

/// Follows the topic as device_change.proto asks it of readers: of two states of one thing the one
/// of the higher revision holds, also when the thing was gone between them.
class Follower final : private kafka::TableHandler {
 public:
  explicit Follower(const RegistryProcess& registry)
      : config_{.brokers = sluice::testing::require_env("SLUICE_TEST_KAFKA_BROKERS"),
                .name_space = registry.kafka_namespace()},
        reader_({.topic = "control.devices"}, clock_, log_, metrics_,
                kafka::open_table_consumer(config_, {}, "control.devices", clock_, log_).value(),
                *this) {}

  /// "active", "revoked", "gone" or "" for what was never told of.
  std::string state_of(const std::string& key) const {
    const auto known = things_.find(key);
    if (known == things_.end()) return "";
    if (known->second.is_gone) return "gone";
    const proto::DeviceStatus status = known->second.change.device().status();
    return status == proto::DEVICE_STATUS_ACTIVE    ? "active"
           : status == proto::DEVICE_STATUS_REVOKED ? "revoked"
                                                    : "other";
  }
  std::int64_t revision_of(const std::string& key) const {
    const auto known = things_.find(key);
    return known == things_.end() ? 0 : known->second.change.revision();
  }
  bool reads_until(const std::function<bool()>& holds) {
    return eventually([&] {
      EXPECT_TRUE(reader_.step(std::chrono::milliseconds(50)));
      return holds();
    });
  }

 private:
  struct Thing {
    proto::DeviceChange change;
    bool is_gone = false;
  };

  void on_change(const kafka::RecordView& record) override {
    Thing& thing = things_[std::string(record.key)];
    thing.is_gone = !record.value;
    if (!record.value) return;
    proto::DeviceChange change;
    EXPECT_TRUE(change.ParseFromString(std::string(*record.value)));
    if (change.revision() > thing.change.revision()) thing.change = std::move(change);
  }

  const kafka::Config config_;
  SystemClock clock_;
  Registry metrics_;
  Logger log_{"restore_test", LogLevel::kError, clock_, make_fd_log_sink(STDERR_FILENO)};
  std::map<std::string, Thing> things_;
  kafka::TableReader reader_;
};

class Restore : public ::testing::Test {
 protected:
  std::string create_device() {
    return registry.post("/v1/devices", tenant.operator_, {{"device_class", "meter"}})
        .json()["device_id"];
  }
  void change(const std::string& device, const std::string& model) {
    const Json patch{{"model", model}};
    EXPECT_EQ(
        registry.call({"PATCH", "/v1/devices/" + device, tenant.operator_, patch.dump()}).status,
        200);
  }
  void revoke(const std::string& device) {
    const Answer answer =
        registry.post("/v1/devices/" + device + ":revoke", tenant.operator_, Json::object());
    EXPECT_EQ(answer.status, 200) << answer.body;
  }
  std::string key_of(const std::string& device) const { return tenant.id + "/" + device; }

  RegistryProcess registry;
  RegistryProcess::Tenant tenant = (registry.start(), registry.make_tenant());
  sluice::testing::TempDir folder;
  const std::filesystem::path backup = folder.path() / "backup.sql";
};

TEST_F(Restore, ARevocationAfterItReachesWhoFollowedBeforeIt) {
  const std::string device = create_device();
  registry.database().dump(backup);
  // As many changes as the restored database will take to come as far again, and some.
  for (int i = 0; i < 5; ++i) change(device, "model-" + std::to_string(i));
  Follower follower(registry);
  std::int64_t known = 0;
  ASSERT_TRUE(follower.reads_until([&] {
    known = follower.revision_of(key_of(device));
    return known > 0;
  }));

  registry.stop();
  registry.database().restore(backup);
  registry.start();
  revoke(device);
  EXPECT_TRUE(follower.reads_until([&] { return follower.state_of(key_of(device)) == "revoked"; }))
      << follower.revision_of(key_of(device)) << " was known as " << known;
}

TEST_F(Restore, WhatTheBackupDoesNotKnowIsToldAnew) {
  const std::string changed = create_device();
  const std::string deleted = create_device();
  const std::string revoked = create_device();
  const std::string rewritten = create_device();
  registry.database().dump(backup);
  change(changed, "another");
  EXPECT_EQ(registry.call({"DELETE", "/v1/devices/" + deleted, tenant.operator_, ""}).status, 204);
  for (const std::string& device : {revoked, rewritten}) revoke(device);
  const std::string made = create_device();
  Follower follower(registry);
  ASSERT_TRUE(follower.reads_until([&] {
    return follower.state_of(key_of(made)) == "active" &&
           follower.state_of(key_of(deleted)) == "gone" &&
           follower.state_of(key_of(revoked)) == "revoked" &&
           follower.state_of(key_of(rewritten)) == "revoked";
  }));
  const std::int64_t known = follower.revision_of(key_of(changed));

  // The registry runs on while its database is set back.
  registry.database().restore(backup);
  // Written before what was lost is looked for, it has a later revision than its revocation.
  EXPECT_TRUE(eventually([&] {
    const std::string path = "/v1/devices/" + rewritten;
    return registry.call({"PATCH", path, tenant.operator_, R"({"model":"other"})"}).status == 200;
  }));
  const auto is_revoked = [&](const std::string& device) {
    return registry.get("/v1/devices/" + device, tenant.viewer).json()["status"] == "revoked";
  };
  EXPECT_TRUE(follower.reads_until([&] {
    return follower.revision_of(key_of(changed)) > known &&
           follower.state_of(key_of(deleted)) == "active" &&
           follower.state_of(key_of(made)) == "gone" && is_revoked(revoked) &&
           is_revoked(rewritten) && follower.state_of(key_of(rewritten)) == "revoked";
  })) << registry.all_output();
  EXPECT_EQ(follower.state_of(key_of(revoked)), "revoked");
}

}  // namespace
}  // namespace sluice::registry::testing
