#pragma once

#include "core/query/model.h"

#include <chrono>
#include <optional>
#include <string_view>

#include <sluice/base/clock.h>

namespace sluice::tsdb {

/// "raw", "1m", "1h", "1d": a tier's name in answers. Hot and warm are both raw.
std::string_view tier_label(Tier tier);

/// Windows of an `auto` answer: enough for a chart as wide as a screen.
inline constexpr std::int64_t kAutoWindows = 500;

/// Which windows an `auto` query gets over a range: the narrowest of a list of round widths that
/// makes at most kAutoWindows, and not narrower than a tier that reaches back to `from`.
std::chrono::milliseconds auto_width(WallTime from, WallTime to, WallTime now,
                                     const TierRetention& retention);

/// Which tier answers windows of `width` from `from` on: the coarsest whose buckets make them up
/// exactly and that is still kept at `from`; if none reaches that far, the one that reaches
/// farthest. kWarm stands for raw.
Tier choose_tier(std::chrono::milliseconds width, WallTime from, WallTime now,
                 const TierRetention& retention);

/// Whether something of `from` is still kept; whole partitions are dropped, so there may be more.
bool reaches(Tier tier, WallTime from, WallTime now, const TierRetention& retention);

}  // namespace sluice::tsdb
