#pragma once

#include "ledger.h"
#include "options.h"
#include "raw_watch.h"
#include "reconciler.h"
#include "roster.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/log/logger.h>

namespace sluice::sim {

/// The proof of one run: begun before its first message, fed while it runs, finished behind it. As
/// far as the options ask for it. Belongs to one thread.
class Proof {
 public:
  /// Looks up where the topics end. All must outlive it.
  static Result<std::unique_ptr<Proof>> begin(const Options& options, const Fleet& fleet,
                                              const Roster& roster, const Ledger& ledger,
                                              const Clock& clock, const Logger& logger);

  void on_acknowledged(std::uint32_t device, std::uint32_t sequence);
  /// Takes what Kafka has got since the last time.
  void update();
  /// Of the messages whose acknowledgement is older than the last few update()s: how many Kafka
  /// does not have as far as is known. An estimate from counts, finish() is exact.
  std::uint64_t missing() const;
  std::uint64_t duplicated() const { return reconciler_.duplicated(); }

  /// Reads everything to its end, waiting for what is under way.
  Result<Completeness> finish();

 private:
  Proof(const Options& options, const Fleet& fleet, const Roster& roster, const Ledger& ledger,
        const Clock& clock);
  Result<> read_verdicts();

  const Options& options_;
  const Fleet& fleet_;
  const Roster& roster_;
  const Ledger& ledger_;
  const Clock& clock_;
  Reconciler reconciler_;
  std::unique_ptr<RawWatch> raw_;
  std::optional<TopicTail> valid_;
  std::optional<TopicTail> rejected_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t confirmed_ = 0;                         // acknowledged and in Kafka
  std::array<std::uint64_t, 4> acknowledged_before_{};  // at the last updates, oldest first
};

}  // namespace sluice::sim
