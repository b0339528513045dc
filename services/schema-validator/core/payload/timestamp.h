#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::validator {

/// Milliseconds since the epoch out of a number that counts something since it. Which unit is told
/// by the size: below 10^11 seconds (until the year 5138), below 10^14 milliseconds, below 10^17
/// microseconds, else nanoseconds. nullopt where it is negative.
std::optional<std::int64_t> epoch_ms(std::int64_t value);
/// The same with a fraction; nullopt where it is none of these, such as NaN.
std::optional<std::int64_t> epoch_ms(double value);
/// ISO 8601 as RFC 3339 narrows it: "2026-11-21T14:00:00.250Z", an offset in place of Z, a blank in
/// place of T; without either Z or an offset it is UTC. Parts of a millisecond are cut off.
std::optional<std::int64_t> parse_timestamp(std::string_view text);

}  // namespace sluice::validator
