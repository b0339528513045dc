#include "core/query/planner.h"

#include "core/rollup/rollup_block.h"

#include <array>

namespace sluice::tsdb {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr std::array<milliseconds, 18> kRoundWidths = {
    1s,    5s, 10s, 30s, 1min, 2min, 5min,    10min,    15min,
    30min, 1h, 2h,  6h,  12h,  24h,  24h * 7, 24h * 30, 24h * 90};

constexpr std::array kCoarsestFirst = {Tier::kRollup1d, Tier::kRollup1h, Tier::kRollup1m};

}  // namespace

std::string_view tier_label(Tier tier) {
  if (tier == Tier::kRollup1m) return "1m";
  if (tier == Tier::kRollup1h) return "1h";
  if (tier == Tier::kRollup1d) return "1d";
  return "raw";
}

bool reaches(Tier tier, WallTime from, WallTime now, const TierRetention& retention) {
  const auto& kept = retention.of(tier);
  return !kept || from >= now - *kept;
}

Tier choose_tier(milliseconds width, WallTime from, WallTime now, const TierRetention& retention) {
  Tier farthest = Tier::kWarm;
  for (const Tier tier : kCoarsestFirst) {
    if (width % bucket_width(tier) != 0ms) continue;
    if (reaches(tier, from, now, retention)) return tier;
    const auto& kept = retention.of(tier);
    const auto& best = retention.of(farthest);
    if (best && (!kept || *kept > *best)) farthest = tier;
  }
  if (reaches(Tier::kWarm, from, now, retention)) return Tier::kWarm;
  return farthest;
}

milliseconds auto_width(WallTime from, WallTime to, WallTime now, const TierRetention& retention) {
  for (const milliseconds width : kRoundWidths) {
    if ((to - from) / width > kAutoWindows) continue;
    if (reaches(choose_tier(width, from, now, retention), from, now, retention)) return width;
  }
  // Longer than 123 years of quarters, or kept nowhere: the widest.
  return kRoundWidths.back();
}

}  // namespace sluice::tsdb
