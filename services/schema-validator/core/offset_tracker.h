#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include <sluice/base/planted_bug.h>

namespace sluice::validator {

/// What is known of the records of one partition while it is ours: which have been handled, and how
/// many of their outputs Kafka has not acknowledged yet. Records may be handled in any order.
///
/// Memory: two bytes for each offset between what is durable and the furthest that was handled,
/// which the loop's batch and the producer's bound keep small.
class OffsetTracker {
 public:
  /// Whether this record was handled since the partition came: it must not be handled again.
  bool is_handled(std::int64_t offset) const;
  /// `outputs` of its effects await acknowledgement; at most kMaxOutputs.
  void handled(std::int64_t offset, std::size_t outputs);
  /// One output of that record is acknowledged.
  void acknowledged(std::int64_t offset);

  /// Everything below was handled and acknowledged: what may be committed. -1 before any record.
  ///
  /// Offsets that no record has (compaction, aborted transactions) are passed once a later record
  /// was handled: see begin().
  std::int64_t durable() const {
    if (SLUICE_PLANTED_BUG("validator_commits_early") && durable_ >= 0) {
      return durable_ + static_cast<std::int64_t>(entries_.size());
    }
    return durable_;
  }
  /// A record that will be handled: tells the first offset of all, and, being in order, where gaps
  /// are.
  void expect(std::int64_t offset);

  /// Offsets between durable() and the furthest expected.
  std::size_t size() const { return entries_.size(); }

  static constexpr std::size_t kMaxOutputs = 65'000;

 private:
  static constexpr std::uint16_t kExpected = 0xFFFF;  // not handled yet

  void advance();

  std::int64_t durable_ = -1;
  std::deque<std::uint16_t> entries_;  // of durable_ and what follows: outputs outstanding
};

}  // namespace sluice::validator
