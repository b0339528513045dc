#pragma once

#include "core/catalogue.h"
#include "core/outputs.h"
#include "core/partition_state.h"

#include <cstdint>
#include <string_view>

namespace sluice::validator {

/// A record of telemetry.raw. Views live as long as the call.
struct SourceRecord {
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::int64_t timestamp_ms = 0;  // Kafka's
  std::string_view key{};
  std::string_view value{};
  std::int64_t now_ms = 0;  // when it is judged
};

/// What became of a record, each in exactly one of these.
enum class Outcome : std::uint8_t {
  kValid,        // its samples are in the outputs
  kRejected,     // a RejectedMessage is
  kReplay,       // proven to be a copy of what the device sent before: dropped, and counted
  kReprocessed,  // had its effect before the partition came to us: nothing to be done
};
inline constexpr std::size_t kOutcomes = 4;
std::string_view name_of(Outcome outcome);

/// Decides about records, one at a time. An interface so that the shell around it can be tested
/// with one that fails.
class RecordJudge {
 public:
  virtual ~RecordJudge() = default;
  /// Appends what is to be sent to `outputs`, which is clear. Whatever the record holds, the answer
  /// is one of the outcomes; what it throws is a failure of ours.
  virtual Outcome judge(const SourceRecord& record, PartitionState& state,
                        const Catalogue& catalogue, Outputs& outputs) = 0;
  /// The RejectedMessage of a record that could not be judged.
  virtual void reject(const SourceRecord& record, const Rejection& rejection, Outputs& outputs) = 0;
};

}  // namespace sluice::validator
