#pragma once

#include <cstdint>
#include <string_view>

#include <sluice/base/clock.h>
#include <sluice/kafka/topics.h>

/// What the sources of RawHandler share.
namespace sluice::validator {

inline constexpr std::string_view kRawTopic = kafka::topics::kTelemetryRaw.name;
inline constexpr std::string_view kStateTopic = kafka::topics::kValidatorState.name;
/// Of states, which nobody waits for: ownerships of partitions begin at 1.
inline constexpr std::uint64_t kStateToken = 0;

inline std::int64_t milliseconds_of(WallTime time) { return time.time_since_epoch().count(); }

}  // namespace sluice::validator
