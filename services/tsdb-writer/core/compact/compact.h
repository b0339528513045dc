#pragma once

#include "core/rollup/rollup_block.h"
#include "core/storage_layout.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/series/chunk_builder.h>
#include <sluice/series/rollup.h>

namespace sluice::tsdb {

/// What the tables have of one row: nothing yet, its bytes, or nothing any more, since retention
/// dropped its partition. The last two must not be taken for each other: over what is gone nothing
/// may be made anew.
struct StoredBytes {
  bool is_gone = false;
  std::span<const std::byte> bytes{};
};

/// What a bucket of a roll-up row gets.
struct RollupPart {
  std::uint32_t bucket = 0;
  /// True: these are all values of the bucket, which replace what it held, so that doing it again
  /// changes nothing. False: these come to what it held, once.
  bool replaces = false;
  std::map<MetricKey, series::Rollup> rollups;
};

/// An event hour of a device that `hot` has something of.
struct HourToCompact {
  WallTime hour;
  /// In the order in which they were written.
  std::vector<std::span<const std::byte>> hot;
  StoredBytes warm;
  /// Looked at only where warm is gone.
  StoredBytes minutes;
};

struct WarmRow {
  WallTime hour;
  WallTime first;
  WallTime last;
  /// Different event times.
  std::int32_t times = 0;
  std::vector<std::byte> chunk;
};

struct CompactedHour {
  /// Nothing where raw values of the hour are gone.
  std::optional<WarmRow> warm;
  /// The row of rollup_1m, empty where there is nothing to write: the row is gone, or no metric is
  /// rolled up.
  std::vector<std::byte> minutes;
  /// For the row of rollup_1h; without roll-ups when there is nothing to tell.
  RollupPart part;
  /// Samples that `hot` had, each counted that often as it was there.
  std::uint64_t samples_in = 0;
  /// Samples in `warm`, remarks not counted.
  std::uint64_t samples_out = 0;
};

struct RolledUp {
  /// The row's bytes, empty where there is nothing to write.
  std::vector<std::byte> row;
  /// For the row of the next tier.
  RollupPart part;
};

/// Makes of one device's hot rows what warm and roll-up tables are to hold. Pure: the same input
/// makes the same bytes, and what it made is no other if it is made again from that, or if the hot
/// rows come in several portions, in the order of writing. Two things are sources of truth: raw
/// values while they are kept, and the finest roll-up that is left once they are not.
///
/// Keeps its memory from hour to hour: one per thread.
class Compaction {
 public:
  /// Samples of an hour of one device, as often as they are there: 2,300 in a second. They are held
  /// in memory, 16 bytes each and up to 32, and a few bytes of a chunk may say millions of them.
  static constexpr std::size_t kMaxSamples = std::size_t{8} << 20;

  explicit Compaction(std::size_t max_samples = kMaxSamples);

  /// kDataLoss for bytes that are no chunk or block, kOutOfRange for more rows than a chunk takes
  /// or more samples than are held.
  [[nodiscard]] Result<CompactedHour> compact(const HourToCompact& hour);

 private:
  Result<> load(const series::ChunkReader& chunk);

  const std::size_t max_samples_;
  series::ChunkBuilder builder_;
  series::Samples samples_;
};

/// Brings a row of rollup_1h or rollup_1d (`tier`) that begins at `start` up to date with what its
/// buckets get; those of the same bucket one after the other.
[[nodiscard]] Result<RolledUp> roll_up(Tier tier, WallTime start, const StoredBytes& stored,
                                       std::span<const RollupPart> parts);

}  // namespace sluice::tsdb
