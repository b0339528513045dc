#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// SLUICE_CRASH_POINT("registry_before_commit"): a named place where a test build can be told to
/// die, so that tests can kill a service exactly between two steps instead of at a lucky moment.
///
/// A program started with SLUICE_CRASH_POINT=name in its environment kills itself with SIGKILL the
/// first time it passes the place of that name; with SLUICE_CRASH_POINT=name:N the N-th time.
/// Nothing is flushed and no destructor runs, as in a power cut. Names are snake_case,
/// `<component>_<when>`.
///
/// Builds without tests (SLUICE_TESTS=OFF: what goes into images) compile it to nothing. This is
/// the one place outside `config` that reads the environment: a crash point must work before, and
/// without, any configuration, and must not be a setting that an operator could meet.
#ifdef SLUICE_CRASH_POINTS
#define SLUICE_CRASH_POINT(name) ::sluice::pass_crash_point(name)
#else
#define SLUICE_CRASH_POINT(name) static_cast<void>(0)
#endif

namespace sluice {

/// Which crash point is armed, and at which pass over it the process dies.
struct CrashPointSpec {
  std::string name;
  std::uint64_t pass = 1;

  /// Reads "name" or "name:N"; nullopt for an empty name or an N that is not a number from 1.
  static std::optional<CrashPointSpec> parse(std::string_view text);
};

/// What the macro calls; thread-safe, a compare of two texts when some point is armed, else a load.
/// A malformed SLUICE_CRASH_POINT aborts: a test that believes it kills must not pass by not
/// killing.
void pass_crash_point(std::string_view name);

}  // namespace sluice
