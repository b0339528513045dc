#pragma once

#include "core/query/model.h"

#include <optional>
#include <string>
#include <vector>

namespace sluice::tsdb {

/// Devices that are put together.
struct DeviceGroup {
  std::optional<std::string> fleet{};
  std::optional<std::string> device_type{};
  std::vector<std::string> attributes{};

  std::string key() const;
};
DeviceGroup group_of(const StoredDevice& device, const QueryRequest& request);

}  // namespace sluice::tsdb
