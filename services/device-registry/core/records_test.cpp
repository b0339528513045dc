#include "core/records.h"

#include "core/json.h"

#include <string>
#include <utility>
#include <vector>

#include <sluice/device/v1/device_change.pb.h>

#include <gtest/gtest.h>

namespace sluice::registry {
namespace {

using Attributes = std::vector<std::pair<std::string, std::string>>;

/// What is published of a device with this metadata.
Attributes published(const Json& metadata) {
  Resource device;
  device.kind = ResourceKind::kDevice;
  device.tenant = TenantId("blue");
  device.id = "d1";
  device.fields = Json{{"metadata", metadata}};
  const OutboxRecord record = device_record(device, {}, {});
  device::v1::DeviceChange change;
  EXPECT_TRUE(change.ParseFromString(record.value.value()));
  Attributes attributes;
  for (const auto& each : change.device().attributes()) {
    attributes.emplace_back(each.name(), each.value());
  }
  return attributes;
}

TEST(DeviceRecord, TellsTheScalarsOfTheMetadataByName) {
  EXPECT_EQ(published({{"site", "berlin"},
                       {"floor", 2},
                       {"indoor", true},
                       {"owner", nullptr},
                       {"tags", {"a", "b"}},
                       {"address", {{"city", "berlin"}}}}),
            (Attributes{{"floor", "2"}, {"indoor", "true"}, {"site", "berlin"}}));
  EXPECT_EQ(published(Json::object()), Attributes());
}

TEST(DeviceRecord, LeavesOutWhatIsLongAndIsBoundedInAll) {
  Json metadata{{"a", std::string(129, 'x')}, {std::string(65, 'b'), "x"}, {"", "x"}};
  for (int i = 0; i < 30; ++i) metadata["n" + std::to_string(10 + i)] = "x";
  const Attributes attributes = published(metadata);
  ASSERT_EQ(attributes.size(), 16U);
  EXPECT_EQ(attributes.front().first, "n10");
}

}  // namespace
}  // namespace sluice::registry
