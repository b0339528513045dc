#pragma once

#include <cstddef>
#include <string_view>

#include <sluice/base/result.h>
#include <sluice/base/strong_id.h>

namespace sluice {

using TenantId = StrongId<struct TenantIdTag>;
using FleetId = StrongId<struct FleetIdTag>;
using DeviceId = StrongId<struct DeviceIdTag>;
using DeviceClassId = StrongId<struct DeviceClassIdTag>;

/// Longest id of a tenant, fleet, device class or device. Two of them and the words around them fit
/// into the 256 bytes of an MQTT topic that the front accepts by default.
inline constexpr std::size_t kMaxIdSize = 64;

/// Checks the text of an id that comes from outside: 1 to kMaxIdSize of [A-Za-z0-9_.:-], not
/// starting with '.', so that an id is one literal level of an MQTT topic, one path segment of a
/// URL and one part of a Kafka key, and never a pattern in any of them.
Result<> check_id(std::string_view text, std::string_view field);

}  // namespace sluice
