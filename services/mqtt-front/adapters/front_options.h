#pragma once

#include "config.h"
#include "core/admission.h"
#include "core/identity.h"
#include "core/options.h"
#include "core/tenant_limits.h"

namespace sluice::front {

// What each part of the core is told of the settings. The conformance profile is decided here.

Options options_of(const Config& config);
ConnectionAdmission::Settings admission_settings_of(const Config& config);
TenantLimits::Settings tenant_limit_settings_of(const Config& config);
/// Of a device whose class sets none.
DeviceLimits device_limits_of(const Config& config);

}  // namespace sluice::front
