#pragma once

#include "ledger.h"
#include "options.h"
#include "report.h"
#include "roster.h"

#include <functional>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>

namespace sluice::sim {

/// What a run is told and tells while it goes on. All may be empty.
struct RunEvents {
  std::function<bool()> is_stopping{};             // asked often: publishes no more when true
  std::function<bool()> takes_storm{};             // asked often: all reboot now when true
  std::function<void(const Moment&)> on_second{};  // about once a second
  std::function<void(std::string_view)> on_phase{};
  std::function<void(const Ledger&)> on_end{};  // when all is said, before the proof
};

/// Publishes, waits for the last acknowledgements, and proves. Errors: it could not begin, or what
/// the proof needs cannot be read.
Result<Report> run_fleet(const Options& options, const Roster& roster, const Clock& clock,
                         const RunEvents& events);

}  // namespace sluice::sim
