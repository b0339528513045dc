#pragma once

#include "ports.h"
#include "testing/telemetry_source.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <sluice/postgres/pool.h>

namespace sluice::tsdb::testing {

/// Adds a chunk's samples to `content`, overriding what is there. Remarks are left out.
void add_chunk(const std::string& tenant, const std::string& device,
               std::span<const std::byte> chunk,
               const std::function<std::string(MetricKey)>& name_of, Content& content);

/// Everything in `hot`, later flushes over earlier ones.
Content read_hot(postgres::Pool& pool);

/// The first few differences, for a failing test to show; "" where there is none.
std::string difference(const Content& wanted, const Content& found);

}  // namespace sluice::tsdb::testing
