#pragma once

#include "ports.h"

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::tsdb {

/// Which spans of a flush are stored already, by the positions that their partitions have in the
/// tables (nullopt: none), which nobody else may move until the flush is committed. This is what
/// makes a flush of unknown outcome safe to repeat and an owner that was fenced harmless. A span
/// that another writer has begun is not left out: it is written whole, which sets the same values
/// again. kDataLoss with reason kOffsetsWentBack where the tables end before a span begins.
Result<std::vector<bool>> stored_already(std::span<const PartitionSpan> spans,
                                         std::span<const std::optional<Offset>> stored);

}  // namespace sluice::tsdb
