#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/base/clock.h>

namespace sluice::postgres {

/// A time as PostgreSQL reads it whatever its settings: RFC 3339, with " BC" for years before 1.
std::string format_timestamp(WallTime time);

/// A `timestamptz` as PostgreSQL writes it with DateStyle ISO and TimeZone UTC, cut to
/// milliseconds. nullopt for anything else, such as infinity.
std::optional<WallTime> parse_timestamp(std::string_view text);

/// Microseconds since 2000-01-01, as the binary format has it. A time that PostgreSQL cannot hold
/// gives a value that it refuses; the nearest that it can hold would be a silent lie.
std::int64_t to_binary_timestamp(WallTime time);
/// Cut to milliseconds; nullopt for infinity and what parse_timestamp() would not take either.
std::optional<WallTime> from_binary_timestamp(std::int64_t microseconds);

}  // namespace sluice::postgres
