#pragma once

// Before kOutlier below: an enumerator of that name would shadow it.
#include "core/payload/rejection.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/ingest/valid_message.h>

namespace sluice::validator {

/// Remarks about a reading or a sample.
using ingest::QualityBits;
inline constexpr QualityBits kOutlier = 1U << 1U;
inline constexpr QualityBits kClockSkewed = 1U << 2U;
inline constexpr QualityBits kLate = 1U << 3U;
inline constexpr QualityBits kMaybeDuplicate = 1U << 4U;
inline constexpr QualityBits kDefaulted = 1U << 5U;

enum class ValueType : std::uint8_t { kDouble, kInt64, kBool, kString, kBytes };

/// One value of one metric. Texts are views into the payload, the schema or Extracted::texts.
struct Reading {
  std::string_view metric{};
  std::string_view unit{};  // after conversion; empty where it has none
  ValueType type = ValueType::kDouble;
  QualityBits quality = 0;
  double number = 0;              // kDouble
  std::int64_t integer = 0;       // kInt64; kBool as 0 and 1
  std::string_view text{};        // kString, kBytes
  std::uint32_t metric_id = 0;    // the metric's place in its schema: an index for per-metric state
  std::uint64_t metric_hash = 0;  // hash_text() of its name, where the schema knows it; else 0
};

/// What a device said of one moment: one object of the payload. A payload is one or several.
struct Sample {
  std::optional<std::int64_t> device_time_ms{};  // "ts" of the payload, since the epoch
  std::optional<std::uint64_t> sequence{};
  bool buffered = false;
  std::uint32_t first_reading = 0;
  std::uint32_t reading_count = 0;
};

/// All of one payload. Reused from message to message: clear() keeps the room.
struct Extracted {
  std::vector<Sample> samples{};
  std::vector<Reading> readings{};
  std::string texts{};  // what views cannot point at otherwise; reserved before, never regrown

  void clear() {
    samples.clear();
    readings.clear();
    texts.clear();
  }
};

}  // namespace sluice::validator
