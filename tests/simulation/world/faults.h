#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::simulation {

/// What goes wrong in the simulated world. README.md says what each of them does.
enum class Fault : std::uint8_t {
  kLoss,       // connections break, answers of Kafka get lost
  kDuplicate,  // devices say things twice, commits fail, so that records come again
  kReorder,    // delays differ widely between connections and between partitions
  kCrash,      // processes end without a word and begin anew
  kRebalance,  // members of consumer groups leave, freeze, and are expelled
  kSlowStore,  // Kafka and the database are slow, out of reach, or do not say what they did
  kClockJump,  // the wall clock is set forwards and back
};
inline constexpr std::size_t kFaults = 7;
std::string_view to_string(Fault fault);

/// A set of faults, as --faults names it: "loss,crash", "all", "none".
class Faults {
 public:
  static Faults all() { return Faults((1U << kFaults) - 1); }
  static Faults none() { return Faults(0); }
  static Result<Faults> parse(std::string_view text);

  bool has(Fault fault) const { return (bits_ >> static_cast<unsigned>(fault) & 1U) != 0; }
  std::string text() const;

 private:
  explicit Faults(unsigned bits) : bits_(bits) {}
  unsigned bits_;
};

}  // namespace sluice::simulation
