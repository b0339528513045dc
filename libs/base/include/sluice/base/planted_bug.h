#pragma once

#include <atomic>
#include <string>
#include <string_view>

/// SLUICE_PLANTED_BUG("front_acks_early"): true where a test has ordered a promise to be broken.
///
/// A check that has never been seen red proves nothing. Each safety promise therefore has a place
/// in the code that keeps it, where a test build can be told to break it:
///
///   if (!SLUICE_PLANTED_BUG("front_acks_early")) return;  // wait for Kafka's acknowledgement
///
/// A program started with SLUICE_PLANTED_BUG=name in its environment has that bug from its start; a
/// test in the same process plants one with ScopedPlantedBug. Names are snake_case,
/// `<component>_<what it does wrong>`. One bug at a time.
///
/// Builds without tests (SLUICE_TESTS=OFF: what goes into images) compile it to `false`. Like crash
/// points it reads the environment by itself, so that it is no setting that an operator could meet.
#ifdef SLUICE_CRASH_POINTS
#define SLUICE_PLANTED_BUG(name) ::sluice::is_planted(name)
#else
#define SLUICE_PLANTED_BUG(name) false
#endif

namespace sluice {

namespace detail {
/// The bug that is planted; null for none, which is all that a hot path ever looks at.
extern std::atomic<const std::string*> planted_bug;
bool is_planted_slow(std::string_view name);
}  // namespace detail

/// What the macro calls; thread-safe, a load when nothing is planted.
inline bool is_planted(std::string_view name) {
  return detail::planted_bug.load(std::memory_order_relaxed) != nullptr &&
         detail::is_planted_slow(name);
}

/// Plants a bug for as long as this lives. Tests only; one at a time.
class ScopedPlantedBug {
 public:
  explicit ScopedPlantedBug(std::string name);
  ~ScopedPlantedBug();
  ScopedPlantedBug(const ScopedPlantedBug&) = delete;
  ScopedPlantedBug& operator=(const ScopedPlantedBug&) = delete;

 private:
  const std::string name_;
  const std::string* const before_;
};

}  // namespace sluice
