#include "core/query/device_group.h"

#include <algorithm>

namespace sluice::tsdb {

std::string DeviceGroup::key() const {
  // No id and no attribute holds a zero byte.
  std::string key = fleet.value_or("") + '\0' + device_type.value_or("");
  for (const std::string& attribute : attributes) (key += '\0') += attribute;
  return key;
}

DeviceGroup group_of(const StoredDevice& device, const QueryRequest& request) {
  const std::vector<GroupBy>& group_by = *request.group_by;
  DeviceGroup group{.fleet = {}, .device_type = {}, .attributes = device.attributes};
  if (std::ranges::contains(group_by, GroupBy::kFleet)) group.fleet = device.fleet;
  if (std::ranges::contains(group_by, GroupBy::kDeviceType)) {
    group.device_type = device.device_type;
  }
  return group;
}

}  // namespace sluice::tsdb
