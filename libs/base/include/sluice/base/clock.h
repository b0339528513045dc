#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice {

/// Milliseconds since the epoch, UTC: for stamping. All our wire formats carry this.
using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;
/// Nanoseconds of a clock that never jumps: for measuring, deadlines and expiry.
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

/// Time as a parameter. Nothing but implementations of this reads the machine's clock.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;
  virtual MonoTime mono() const = 0;
};

/// The machine's clock. Thread-safe.
class SystemClock final : public Clock {
 public:
  WallTime wall() const override;
  MonoTime mono() const override;
};

/// RFC 3339 with milliseconds: "2026-01-31T12:00:00.000Z".
std::string format_rfc3339(WallTime time);
/// The same at the end of a text that is being built, without an allocation of its own.
void append_rfc3339(std::string& out, WallTime time);
/// Reads RFC 3339 with any offset and fraction (cut to milliseconds), or says why not.
Result<WallTime> parse_rfc3339(std::string_view text);

}  // namespace sluice
