#pragma once

#include "core/batch/batch.h"
#include "core/batch/dictionary.h"
#include "core/batch/intake_metrics.h"
#include "core/batch/message.h"
#include "ports.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>

namespace sluice::tsdb {

/// What is too much to be stored.
struct IntakeLimits {
  std::size_t max_text_bytes = 4096;
  std::chrono::milliseconds max_age{std::chrono::days(366)};
  std::chrono::milliseconds max_ahead{std::chrono::hours(24)};
  std::size_t max_devices = 200'000;
};

// Longer ones are a mistake of whoever wrote the schema, and names are in every answer of a query.
inline constexpr std::size_t kMaxMetricNameBytes = 256;
inline constexpr std::size_t kMaxUnitBytes = 64;

/// A record to be taken, and where it belongs.
struct IntakeRecord {
  std::string_view bytes;
  SpanIndex span = 0;
  Offset offset;
};

/// Reads records into a batch: decodes, refuses what cannot be stored, finds keys and groups. One
/// thread, which owns it.
class Intake {
 public:
  Intake(const IntakeLimits& limits, DictionaryStore& store, Registry& registry);

  /// Decodes records and finds out all their keys, for which it asks the store where something is
  /// new. After an error nothing has happened. Does not touch the batch.
  Result<> prepare(std::span<const IntakeRecord> records, WallTime now);
  /// Puts what was prepared into the batch, whose spans the records named.
  void commit(Batch& batch);

  const RefusalCounters& refusals() const { return refusals_; }

 private:
  struct StagedSample {
    Dictionary::Metric* metric;
    std::uint64_t bits;  // of a text: where it begins in texts_
    std::size_t text_size;
    series::ColumnType type;
    Remarks remarks;
  };
  struct StagedMessage {
    Dictionary::Device* device;
    std::int64_t event_time_ms;
    std::int64_t received_at_ms;
    Offset offset;
    SpanIndex span;
    std::uint32_t sample_count;
    Remarks remarks;
  };

  std::optional<Refusal> fault_of_message(WallTime now) const;
  std::optional<Refusal> fault_of_reading(const ReadingView& reading) const;
  void stage(const IntakeRecord& record, WallTime now);
  GroupIndex group_of(Batch& batch, const StagedMessage& message);

  IntakeLimits limits_;
  DictionaryStore& store_;
  RefusalCounters refusals_;
  Dictionary dictionary_;
  MessageView message_;
  std::vector<StagedMessage> staged_;
  std::vector<StagedSample> samples_;
  std::string texts_;
  std::vector<std::uint64_t> refused_;  // by reason, of what is staged
};

}  // namespace sluice::tsdb
