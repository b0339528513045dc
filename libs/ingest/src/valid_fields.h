#pragma once

#include <cstdint>

namespace sluice::ingest {

// Field numbers of telemetry.v1.ValidMessage and Reading that both sides of the wire spell out.
inline constexpr std::uint32_t kReadings = 17;
inline constexpr std::uint32_t kQuality = 18;
inline constexpr std::uint32_t kReadingQuality = 8;

}  // namespace sluice::ingest
