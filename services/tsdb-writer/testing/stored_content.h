#pragma once

#include "ports.h"
#include "testing/telemetry_source.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>

#include <sluice/postgres/pool.h>

namespace sluice::tsdb::testing {

/// Adds a chunk's samples to `content`, overriding what is there. Remarks are left out.
void add_chunk(const std::string& tenant, const std::string& device,
               std::span<const std::byte> chunk,
               const std::function<std::string(MetricKey)>& name_of, Content& content);

/// Everything in `warm` and, over it, in `hot`, later flushes over earlier ones: of one moment,
/// whatever compaction is doing.
Content read_raw(postgres::Pool& pool);

/// Roll-ups of numbers and truths: (tier, tenant, device, metric, type, beginning of the bucket in
/// ms) -> the bytes of the series::Rollup.
using RollupContent =
    std::map<std::tuple<Tier, std::string, std::string, std::string, int, std::int64_t>,
             std::string>;

/// What roll-ups of all tiers hold.
RollupContent read_rollups(postgres::Pool& pool);
/// What they should hold, made of the values themselves.
RollupContent rollups_of(const Content& content);

/// The first few differences, for a failing test to show; "" where there is none.
std::string difference(const Content& wanted, const Content& found);
std::string difference(const RollupContent& wanted, const RollupContent& found);

}  // namespace sluice::tsdb::testing
