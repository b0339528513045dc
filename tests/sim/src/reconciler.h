#pragma once

#include "fleet.h"
#include "ledger.h"

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice::sim {

/// What became of a run's messages. Counts are of messages, told apart by device and sequence,
/// where nothing else is said.
struct Completeness {
  std::uint64_t published = 0;
  std::uint64_t acknowledged = 0;

  // telemetry.raw
  std::uint64_t in_raw = 0;
  std::uint64_t raw_records = 0;
  std::uint64_t raw_repeated = 0;    // records: the device published the number twice, on purpose
  std::uint64_t raw_duplicated = 0;  // records: sent again because no acknowledgement came
  std::uint64_t missing_in_raw = 0;  // acknowledged
  std::uint64_t out_of_order =
      0;                      // a later one of the connection, both above QoS 0, came before it
  std::uint64_t foreign = 0;  // records of our devices that no device published
  std::uint64_t refused = 0;  // told so with a reason that is final
  std::uint64_t refused_in_raw = 0;  // of these; a number that was published twice is not counted

  // telemetry.valid and telemetry.rejected, by message identity
  bool has_verdicts = false;
  std::uint64_t in_valid = 0;
  std::map<std::string, std::uint64_t, std::less<>> in_rejected{};  // by reason
  std::uint64_t verdicts_repeated = 0;   // records that say again what was said
  std::uint64_t replays_left_out = 0;    // records of telemetry.raw: a copy, and told as one
  std::uint64_t unjudged = 0;            // in telemetry.raw and in neither
  std::uint64_t contradictory = 0;       // in both
  std::uint64_t misjudged = 0;           // a good one was rejected, or a bad one was not
  std::uint64_t valid_out_of_order = 0;  // of a device, in another order than in telemetry.raw

  // the query API, samples
  bool has_samples = false;
  std::uint64_t samples_expected = 0;
  std::uint64_t samples_stored = 0;  // as they should be
  std::uint64_t samples_merged = 0;  // expected at the time of another, which can be stored once
  std::uint64_t samples_copied = 0;  // see Reconciler::copies()
  std::uint64_t samples_missing = 0;
  std::uint64_t samples_wrong = 0;       // another value than the device published
  std::uint64_t samples_duplicated = 0;  // one series has one time twice
  std::uint64_t samples_foreign = 0;     // nobody published them

  /// The first few things that are wrong, in words.
  std::vector<std::string> examples{};

  /// Nothing that was acknowledged is missing, and nothing is there that should not be.
  bool is_complete() const;
  void add_example(std::string text);
};

/// Compares what the devices know with what the platform holds. Records come in the order of their
/// partitions; those of telemetry.raw first, since the others are looked up by them. One owner.
class Reconciler {
 public:
  using MessageId = std::array<std::uint8_t, 16>;

  /// Both must outlive it; the ledger may grow until judge().
  Reconciler(const Fleet& fleet, const Ledger& ledger);

  void on_raw(std::uint32_t device, std::int64_t sequence, std::string_view message_id);
  /// For live figures: whether it came already.
  bool is_in_raw(std::uint32_t device, std::uint32_t sequence) const {
    return in_raw_[device].contains(sequence);
  }
  std::uint64_t duplicated() const { return sum_.raw_duplicated; }

  /// No more records of telemetry.raw will come.
  void close_raw();
  void on_valid(std::string_view message_id, std::uint32_t part, std::int64_t event_time_ms);
  void on_rejected(std::string_view message_id, std::string_view reason);
  /// Every message has a verdict: nothing more is to be waited for.
  bool is_judged() const { return awaited_ == 0; }

  /// The sum of all that came. `with_verdicts`: the two other topics were read.
  Completeness sum_up(bool with_verdicts) const;

  /// Whether readings of the message are to be stored; needs verdicts.
  bool is_valid(std::uint32_t device, std::uint32_t sequence) const {
    return valid_[device].contains(sequence);
  }
  /// As the validator decided it, which is the device's time where that is credible.
  std::int64_t event_time_ms(std::uint32_t device, std::uint32_t sequence) const;
  /// Where copies of the device's valid messages may be stored besides. Without a time that it
  /// believes the validator cannot tell a copy from a counter that began anew: it keeps both
  /// (`maybe_duplicate`), each under the time at which it came.
  struct Copy {
    std::int64_t time_ms;
    std::uint32_t sequence;
  };
  std::span<const Copy> copies(std::uint32_t device) const { return copies_[device]; }

 private:
  struct Entry {
    MessageId id;
    std::uint32_t device;
    std::uint32_t sequence;
    std::uint32_t place;  // among all records, which are in the order of their partitions
    bool is_first;
    std::uint8_t valid = 0;
    std::uint8_t rejected = 0;
  };

  Entry* find(std::string_view message_id);
  void count_verdict(Entry& entry);
  /// Whether it comes behind a later one of its connection.
  bool is_late(std::uint32_t device, std::uint32_t sequence);
  std::string name(std::uint32_t device, std::uint32_t sequence) const;

  const Fleet& fleet_;
  const Ledger& ledger_;
  std::vector<SequenceSet> in_raw_;
  std::vector<SequenceSet> copied_;
  std::vector<SequenceSet> valid_;
  std::vector<std::int64_t> highest_;  // above QoS 0, of each device
  std::vector<std::vector<Copy>> copies_;
  std::vector<std::uint32_t> last_valid_;                        // its place in telemetry.raw
  std::vector<Entry> entries_;                                   // by id once raw is closed
  std::unordered_map<std::uint64_t, std::int64_t> other_times_;  // where not the device's
  std::uint64_t awaited_ = 0;
  Completeness sum_;
};

}  // namespace sluice::sim
