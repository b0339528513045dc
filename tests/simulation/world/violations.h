#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>

namespace sluice::simulation {

/// The promises of the platform, and that it comes to rest once nothing is broken any more.
enum class Invariant : std::uint8_t {
  kAckedIsStored,       // I1
  kCommittedIsDurable,  // I2
  kIdempotent,          // I3
  kOrdered,             // I4
  kAccountedFor,        // I5
  kIsolated,            // I6
  kBounded,             // I7
  kComesToRest,
};
inline constexpr std::size_t kInvariants = 8;
std::string_view to_string(Invariant invariant);

struct Violation {
  Invariant invariant;
  std::chrono::milliseconds at;  // since the start of the run
  std::string text;
  std::vector<std::string> before;  // the last lines of the trace, of the first violation alone
};

/// What was found to be broken: the first few of each invariant with their words, all counted.
class Violations {
 public:
  void add(Violation violation);
  bool empty() const { return found_.empty(); }
  std::size_t count(Invariant invariant) const {
    return counts_[static_cast<std::size_t>(invariant)];
  }
  const std::vector<Violation>& found() const { return found_; }

 private:
  static constexpr std::size_t kKept = 3;
  std::vector<Violation> found_;
  std::array<std::size_t, kInvariants> counts_{};
};

}  // namespace sluice::simulation
