#pragma once

#include "core/batch/batch.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <sluice/base/clock.h>

namespace sluice::tsdb {

/// When a batch is written.
struct FlushPolicy {
  std::size_t max_samples = 500'000;
  std::size_t max_bytes = std::size_t{32} << 20;
  std::chrono::milliseconds max_age{500};

  enum class Reason : std::uint8_t { kSamples, kBytes, kAge };
  /// Full: nothing may be added to it.
  std::optional<Reason> is_full(const Batch& batch) const {
    if (batch.sample_count() >= max_samples) return Reason::kSamples;
    if (batch.bytes() >= max_bytes) return Reason::kBytes;
    return std::nullopt;
  }
  /// Full, or due though there is room.
  std::optional<Reason> is_due(const Batch& batch, MonoTime now) const {
    if (const auto full = is_full(batch)) return full;
    if (!batch.is_empty() && now - batch.begun_at() >= max_age) return Reason::kAge;
    return std::nullopt;
  }
};

}  // namespace sluice::tsdb
