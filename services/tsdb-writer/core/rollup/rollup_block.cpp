#include "core/rollup/rollup_block.h"

#include <algorithm>
#include <limits>
#include <optional>

#include <sluice/base/check.h>

namespace sluice::tsdb {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::byte kVersion{1};

void put_varint(Bytes& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<std::byte>(value | 0x80U));
    value >>= 7U;
  }
  out.push_back(static_cast<std::byte>(value));
}

std::unexpected<Error> broken() {
  return fail(Error(ErrorCode::kDataLoss, "not a block of roll-ups"));
}

/// Takes from the front of the bytes; nullopt, and no more, where they are not as they should be.
class Input {
 public:
  explicit Input(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !bytes_.empty(); shift += 7) {
      const auto byte = static_cast<std::uint64_t>(bytes_.front());
      bytes_ = bytes_.subspan(1);
      if (shift == 63 && byte > 1) return std::nullopt;
      value |= (byte & 0x7fU) << shift;
      if (byte < 0x80) {
        // No byte more than needed, so that a block has one spelling.
        if (byte == 0 && shift != 0) return std::nullopt;
        return value;
      }
    }
    return std::nullopt;
  }

  std::optional<std::span<const std::byte>> take(std::uint64_t size) {
    if (size > bytes_.size()) return std::nullopt;
    const auto taken = bytes_.first(static_cast<std::size_t>(size));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }

  std::size_t left() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace

std::chrono::milliseconds bucket_width(Tier tier) {
  SLUICE_CHECK(tier != Tier::kHot && tier != Tier::kWarm);
  if (tier == Tier::kRollup1m) return std::chrono::minutes(1);
  if (tier == Tier::kRollup1h) return std::chrono::hours(1);
  return std::chrono::days(1);
}

std::uint32_t bucket_count(Tier tier) {
  SLUICE_CHECK(tier != Tier::kHot && tier != Tier::kWarm);
  if (tier == Tier::kRollup1m) return 60;
  return tier == Tier::kRollup1h ? 24 : 31;
}

WallTime rollup_row_of(Tier tier, WallTime time) {
  SLUICE_CHECK(tier != Tier::kHot && tier != Tier::kWarm);
  if (tier == Tier::kRollup1m) return std::chrono::floor<std::chrono::hours>(time);
  const auto day = std::chrono::floor<std::chrono::days>(time);
  if (tier == Tier::kRollup1h) return day;
  const std::chrono::year_month_day date(day);
  return std::chrono::sys_days(date.year() / date.month() / std::chrono::day(1));
}

std::uint32_t rollup_bucket_of(Tier tier, WallTime time) {
  return static_cast<std::uint32_t>((time - rollup_row_of(tier, time)) / bucket_width(tier));
}

void encode_rollup_block(const RollupBlock& block, std::vector<std::byte>& out) {
  SLUICE_CHECK(!block.empty());
  struct Section {
    std::int32_t metric;
    Bytes bytes;
  };
  std::vector<Section> sections;
  Bytes rollup_bytes;
  std::uint32_t next_bucket = 0;
  for (const auto& [place, rollup] : block) {
    const auto& [metric, bucket] = place;
    SLUICE_CHECK(metric.value() > 0 && bucket < RollupBlockReader::kMaxBuckets);
    if (sections.empty() || sections.back().metric != metric.value()) {
      sections.push_back({.metric = metric.value(), .bytes = {}});
      next_bucket = 0;
    }
    rollup_bytes.clear();
    rollup.encode(rollup_bytes);
    Bytes& section = sections.back().bytes;
    put_varint(section, bucket - next_bucket);
    put_varint(section, rollup_bytes.size());
    section.insert(section.end(), rollup_bytes.begin(), rollup_bytes.end());
    next_bucket = bucket + 1;
  }
  SLUICE_CHECK(sections.size() <= kChunkLimits.columns);
  out.push_back(kVersion);
  put_varint(out, sections.size());
  std::int32_t last = 0;
  for (const Section& section : sections) {
    put_varint(out, static_cast<std::uint64_t>(section.metric - last));
    put_varint(out, section.bytes.size());
    last = section.metric;
  }
  for (const Section& section : sections) {
    out.insert(out.end(), section.bytes.begin(), section.bytes.end());
  }
}

Result<RollupBlockReader> RollupBlockReader::open(std::span<const std::byte> bytes) {
  Input input(bytes);
  const auto version = input.take(1);
  if (!version || version->front() != kVersion) return broken();
  const auto count = input.varint();
  // Two bytes each at the least: what does not fit is not given memory.
  if (!count || *count == 0 || *count > kChunkLimits.columns || *count > input.left() / 2) {
    return broken();
  }
  RollupBlockReader reader;
  std::vector<std::uint64_t> sizes;
  std::uint64_t key = 0;
  for (std::uint64_t i = 0; i < *count; ++i) {
    const auto step = input.varint();
    const auto size = input.varint();
    if (!step || !size || *step == 0 || *size == 0 || *step > INT32_MAX - key) return broken();
    key += *step;
    reader.metrics_.emplace_back(static_cast<std::int32_t>(key));
    sizes.push_back(*size);
  }
  for (const std::uint64_t size : sizes) {
    const auto section = input.take(size);
    if (!section) return broken();
    reader.sections_.push_back(*section);
  }
  if (input.left() != 0) return broken();
  return reader;
}

Result<> RollupBlockReader::read(MetricKey metric, std::vector<RollupBucket>& out) const {
  out.clear();
  const auto at = std::ranges::lower_bound(metrics_, metric);
  if (at == metrics_.end() || *at != metric) return {};
  Input input(sections_[static_cast<std::size_t>(at - metrics_.begin())]);
  std::uint64_t next_bucket = 0;
  while (input.left() != 0) {
    const auto step = input.varint();
    if (!step || *step >= kMaxBuckets - next_bucket) return broken();
    const auto size = input.varint();
    const auto bytes = size ? input.take(*size) : std::nullopt;
    if (!bytes) return broken();
    SLUICE_TRY_ASSIGN(series::Rollup rollup, series::Rollup::decode(*bytes));
    const auto bucket = static_cast<std::uint32_t>(next_bucket + *step);
    out.push_back({.bucket = bucket, .rollup = std::move(rollup)});
    next_bucket = bucket + std::uint64_t{1};
    if (next_bucket == kMaxBuckets && input.left() != 0) return broken();
  }
  return {};
}

Result<RollupBlock> RollupBlockReader::read_all() const {
  RollupBlock block;
  std::vector<RollupBucket> buckets;
  for (const MetricKey metric : metrics_) {
    SLUICE_TRY(read(metric, buckets));
    for (RollupBucket& each : buckets) {
      block.emplace_hint(block.end(), std::pair(metric, each.bucket), std::move(each.rollup));
    }
  }
  return block;
}

}  // namespace sluice::tsdb
