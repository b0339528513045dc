#pragma once

#include "own_postgres.h"
#include "writer_world.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/platform/service_process.h>
#include <sluice/testing/sim_random.h>

namespace sluice::tsdb::testing {

/// What a storm did, and what it found.
struct StormReport {
  int writers_killed = 0;
  int writers_frozen = 0;
  int servers_killed = 0;
  int held_up = 0;          // times that a writer was full of what the dead server does not have
  std::size_t samples = 0;  // told from each other by device, metric and time
  /// The first few differences between what was sent and what is stored; "" for none.
  std::string difference{};
};

/// Writers and PostgreSQL die at random under load, while hours are compacted, rolled up and
/// dropped; then tables are compared with what was sent.
///
/// Where a kill falls is random only within what it is aimed at. Moments in which a broken promise
/// shows are short (a hundredth of the time between a commit to Kafka and the end of a batch, or
/// between two slices of compaction), so kills at just any moment pass over nearly all of them: the
/// kinds of faults are drawn from a deck, and each kind begins where it can do harm.
class FaultStorm {
 public:
  enum class Fault : std::uint8_t {
    kWriterKilled,             // anywhere
    kServerKilled,             // anywhere
    kWritersKilledCompacting,  // all of them, with an hour compacted in part
    kWritersKilledHolding,     // all of them, holding what the dead server does not have
    kWriterFrozen              // and it comes back when others have gone on
  };

  struct Options {
    std::chrono::seconds length{10};
    /// The deck, of which every round plays all.
    std::vector<Fault> faults{Fault::kWriterKilled, Fault::kServerKilled,
                              Fault::kWritersKilledCompacting, Fault::kWritersKilledHolding,
                              Fault::kWriterFrozen};
    /// Of all writers, over those of the world.
    platform::Environment settings{};
    /// Longest wait for what was sent to be stored in the end.
    std::chrono::seconds patience{60};
  };

  /// Both must outlive it. The world is new: nobody has written.
  FaultStorm(OwnPostgres& server, WriterWorld& world, Options options);

  /// As many decks as the length has room for, at least one, and then the comparison. May be called
  /// again, which goes on with the same tables.
  StormReport run();

 private:
  void play_deck();
  void play(Fault fault);
  void kill_writer();
  void kill_server();
  void kill_writers_compacting();
  void kill_writers_holding();
  void freeze_writer();

  void stop_server();
  void start_server();
  void kill_all_writers();
  void start_missing_writers();
  /// Kills the server and waits for a writer that can take no more, which is given; null where none
  /// gets there, as those that were just started have names to look up.
  platform::ServiceProcess* hold_up();
  void wait_for_some_records();
  void wait_until_taken_over();
  void wait_until_compacted();
  /// A storm that waits for nothing blows at nothing.
  void must(bool happened, std::string_view what);
  /// The end of what each writer has printed.
  std::string output() const;
  void send_until_told();
  void move_until_told();
  std::string compare();

  platform::ServiceProcess& any_writer() { return *writers_[random_.below(writers_.size())]; }
  /// As last known: a dead server says nothing.
  std::int64_t stored();

  OwnPostgres& server_;
  WriterWorld& world_;
  const Options options_;
  sluice::testing::SimRandom random_;
  /// Two, so that another takes over what the one that leads leaves behind. Null: killed.
  std::array<std::unique_ptr<platform::ServiceProcess>, 2> writers_;
  StormReport report_;
  std::int64_t sent_ = 0;
  std::int64_t old_ = 0;
  std::atomic<std::int64_t> stored_{0};
  std::atomic<bool> is_server_down_{false};
  std::atomic<bool> should_end_{false};
  std::atomic<int> moves_{0};
};

}  // namespace sluice::tsdb::testing
