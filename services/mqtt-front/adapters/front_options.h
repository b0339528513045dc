#pragma once

#include "config.h"
#include "core/admission.h"
#include "core/identity.h"
#include "core/options.h"
#include "core/tenant_limits.h"

#include <cstddef>

namespace sluice::front {

// What each part of the core is told of the settings. The conformance profile is decided here.

Options options_of(const Config& config);
ConnectionAdmission::Settings admission_settings_of(const Config& config);
TenantLimits::Settings tenant_limit_settings_of(const Config& config);
/// Of a device whose class sets none.
DeviceLimits device_limits_of(const Config& config);

/// How many of the process' descriptors connections of devices may take. The rest is for what they
/// must not lack, or all of them would be lost with it: Kafka, Redis, the registry, the other
/// fronts and the probes.
std::size_t descriptors_for_devices(std::size_t descriptors, std::size_t loops);

}  // namespace sluice::front
