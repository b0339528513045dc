#pragma once

#include "roster.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::sim {

/// A set of sequence numbers: a bit for each below the highest.
class SequenceSet {
 public:
  /// False where it was there already.
  bool insert(std::uint32_t sequence) {
    const std::size_t word = sequence / 64;
    if (word >= words_.size()) words_.resize(word + 1, 0);
    const std::uint64_t bit = std::uint64_t{1} << (sequence % 64);
    const bool is_new = (words_[word] & bit) == 0;
    words_[word] |= bit;
    count_ += is_new ? 1 : 0;
    return is_new;
  }
  bool contains(std::uint32_t sequence) const {
    const std::size_t word = sequence / 64;
    return word < words_.size() && (words_[word] >> (sequence % 64) & 1U) != 0;
  }
  std::uint64_t count() const { return count_; }
  /// Calls `visit(sequence)` for each, in order.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (std::size_t word = 0; word < words_.size(); ++word) {
      for (std::uint64_t rest = words_[word]; rest != 0; rest &= rest - 1) {
        visit(static_cast<std::uint32_t>(word * 64) +
              static_cast<std::uint32_t>(std::countr_zero(rest)));
      }
    }
  }

 private:
  std::vector<std::uint64_t> words_;
  std::uint64_t count_ = 0;
};

/// What the devices know of their messages: a few bits each. What was in them is computed
/// again.
struct Ledger {
  explicit Ledger(std::size_t devices)
      : published(devices), acknowledged(devices), refused(devices), resent(devices) {}

  std::vector<SequenceSet> published;
  /// PUBACK, or PUBREC of QoS 2: from then on the platform answers for the message.
  std::vector<SequenceSet> acknowledged;
  /// Answered with a reason that says that it went nowhere (MQTT 5).
  std::vector<SequenceSet> refused;
  /// Sent again on a later connection, where they may come behind what the earlier one brought.
  std::vector<SequenceSet> resent;
};

/// A line of JSON for each device, numbers as ranges: {"device": …, "published": [[0, 41]], …}.
std::string to_json_lines(const Ledger& ledger, const Roster& roster);

}  // namespace sluice::sim
