#include "core/batch/fence.h"

#include <cstdint>
#include <format>

#include <sluice/base/planted_bug.h>

namespace sluice::tsdb {

Result<std::vector<bool>> stored_already(std::span<const PartitionSpan> spans,
                                         std::span<const std::optional<Offset>> stored) {
  std::vector<bool> left_out(spans.size(), false);
  if (SLUICE_PLANTED_BUG("writer_forgets_position")) return left_out;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const PartitionSpan& span = spans[i];
    if (span.is_new_log) continue;
    const std::int64_t position = stored[i] ? stored[i]->value() : -1;
    left_out[i] = position >= span.next.value();
    if (span.begin && position < span.begin->value()) {
      return fail(Error(ErrorCode::kDataLoss,
                        std::format("{}/{} is stored up to {}, and what follows begins at {}",
                                    span.partition.topic, span.partition.partition, position,
                                    span.begin->value()))
                      .with_reason(std::string(kOffsetsWentBack)));
    }
  }
  return left_out;
}

}  // namespace sluice::tsdb
