#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/testing/fault_proxy.h>
#include <sluice/testing/sim_random.h>

namespace sluice::testing {

/// The faults of one direction as they stand, with what they need to remember. Owned by the proxy's
/// thread.
class FaultState {
 public:
  explicit FaultState(SimRandom random) : random_(random) {}

  LinkFaults faults;

  /// How long this piece of data is kept back.
  std::chrono::nanoseconds draw_delay();
  bool draw_loss() { return faults.loss > 0 && random_.chance(faults.loss); }

  /// How many bytes may be passed on now.
  std::size_t budget(MonoTime now);
  void spend(std::size_t bytes) { allowance_ -= static_cast<double>(bytes); }

  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

 private:
  SimRandom random_;
  double allowance_ = 0;  // bytes; below zero after a datagram that was larger than it
  MonoTime refilled_{};
};

/// What is on its way in one direction of one connection, by the time at which it may go on. For
/// TCP an empty piece is the end of the stream.
struct Link {
  std::multimap<MonoTime, std::string> pieces;
  std::size_t size = 0;           // of all pieces
  MonoTime last_due{};            // of TCP, where nothing overtakes
  bool source_has_ended = false;  // nothing more can be read
  bool discards = false;          // what can be read is thrown away
  bool end_was_sent = false;
  bool is_blocked = false;  // the receiver takes no more at the moment

  void add(std::string bytes, MonoTime due) {
    size += bytes.size();
    pieces.emplace(due, std::move(bytes));
  }
  void add_in_order(std::string bytes, MonoTime due) {
    last_due = std::max(last_due, due);
    add(std::move(bytes), last_due);
  }
};

}  // namespace sluice::testing
