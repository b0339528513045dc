#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include <sluice/base/clock.h>

namespace sluice::load {

/// Where the time stands in our payloads, and how wide: `{"t":"0123456789abcdef", ...`.
inline constexpr std::size_t kStampAt = 6;
inline constexpr std::size_t kStampSize = 16;

/// A JSON object of `size` bytes (24 at least) with a place for the time, filled up with letters.
std::string make_payload(std::size_t size);

/// Writes `time` in hexadecimal; `stamp` has kStampSize bytes.
void write_stamp(MonoTime time, std::span<std::byte> stamp);
/// The time in a payload of ours; nullopt: it is not one.
std::optional<MonoTime> read_stamp(std::span<const std::byte> payload);

}  // namespace sluice::load
