// A registry whose database was set back to a backup, under fronts that stayed up.
#include "platform.h"

#include <filesystem>

#include <sluice/testing/temp_dir.h>

#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using mqtt::PacketType;
using mqtt::ReasonCode;

TEST(RegistryRestored, ADeviceThatIsRevokedAfterwardsIsPutOut) {
  Platform platform;
  const auto front = platform.start_front();
  const Device device = platform.make_device();
  const sluice::testing::TempDir folder;
  const std::filesystem::path backup = folder.path() / "backup.sql";
  platform.registry().database().dump(backup);
  // What the front knows of the device is later than the backup.
  for (int i = 0; i < 5; ++i) {
    platform.post("/v1/devices/" + device.id + "/credentials", {{"kind", "psk"}}, 201);
  }
  MqttClient client = front->client();
  ASSERT_EQ(client.connect(device.session()).reason, ReasonCode::kSuccess);

  platform.registry().process().process().stop();
  platform.registry().database().restore(backup);
  platform.registry().start();
  platform.post("/v1/devices/" + device.id + ":revoke", Json::object(), 200);
  EXPECT_EQ(client.expect(PacketType::kDisconnect).reason, ReasonCode::kAdministrativeAction);
  EXPECT_TRUE(client.wait_closed());
}

}  // namespace
}  // namespace sluice::front::testing
