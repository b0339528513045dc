#include "program.h"

#include "null_sink.h"
#include "options.h"
#include "scenarios.h"

#include <cstdio>
#include <stop_token>

namespace sluice::load {

namespace {

Result<Report> run_scenario(const Options& options, const Clock& clock) {
  switch (options.command) {
    case Command::kConn:
      return run_conn(options, clock);
    case Command::kStorm:
      return run_storm(options, clock);
    default:
      return run_pub(options, clock);
  }
}

/// Ends with the process alone.
Result<> serve(const Options& options) {
  SLUICE_TRY_ASSIGN(const auto sink, NullSink::make(options));
  std::printf("listening on %d\n", sink->port());  // at once: a script waits for it
  std::fflush(stdout);
  sink->run(std::stop_token());
  return {};
}

}  // namespace

Outcome run_program(std::span<const std::string> arguments, const Clock& clock) {
  const auto could_not = [](const Error& error) {
    return Outcome{.status = 3, .err = "sluice-load: " + error.message() + "\n"};
  };
  const auto options = parse_options(arguments);
  if (!options) return could_not(options.error());
  if (options->command == Command::kHelp) return {.out = help()};
  if (options->command == Command::kNullSink) {
    const auto served = serve(*options);
    return served ? Outcome{} : could_not(served.error());
  }
  const auto report = run_scenario(*options, clock);
  if (!report) return could_not(report.error());
  return {.status = report->exit_status(),
          .out = (options->json ? report->json() : report->line()) + "\n"};
}

}  // namespace sluice::load
