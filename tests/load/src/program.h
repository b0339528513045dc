#pragma once

#include <span>
#include <string>

#include <sluice/base/clock.h>

namespace sluice::load {

/// The whole program but its process: what it prints on either stream, and its exit status (see
/// Report::exit_status(); 3: it could not begin).
struct Outcome {
  int status = 0;
  std::string out{};
  std::string err{};
};
Outcome run_program(std::span<const std::string> arguments, const Clock& clock);

}  // namespace sluice::load
