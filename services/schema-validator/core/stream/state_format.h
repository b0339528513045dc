#pragma once

#include "core/stream/device_table.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::validator {

/// The bytes of a device's state: a version, then fixed-width little-endian fields. A reader of
/// version n reads no other: state that is not understood is state that is not known, which costs a
/// few "maybe duplicate" flags and a warm-up, while state that is misread would drop fresh
/// messages.
inline constexpr std::uint8_t kStateVersion = 1;

void write_state(const DeviceState& state, std::string& out);

/// False where `bytes` are no state of this version or break a bound; `state` is then unspecified.
/// Metrics past `max_metrics` are left out.
bool read_state(std::string_view bytes, std::size_t window_size, std::size_t max_metrics,
                DeviceState& state);

}  // namespace sluice::validator
