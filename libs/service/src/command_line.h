#pragma once

#include <span>
#include <string>
#include <string_view>

#include <sluice/base/result.h>
#include <sluice/config/settings.h>

namespace sluice::service {

/// The project's version: "0.1.0".
std::string_view version();

/// What the command line asks for.
struct CommandLine {
  enum class Action {
    kServe,
    kHelp,
    kVersion,
    kCheckConfig,
    kPrintConfig,
    kPrintSettings,
    kPrintSchema,
    kPrintMarkdown,
  };
  Action action = Action::kServe;
  std::string config_file{};

  /// The error's message is for the person at the terminal.
  static Result<CommandLine> parse(std::span<char* const> arguments);
};

/// What --help prints.
std::string help_text(std::string_view service, const Settings& settings);

/// Each fault on a line of its own: "  shutdown_grace: "5" is not a duration … (line 3 of the
/// file)".
std::string faults_text(std::string_view service, const Error& error);

/// The content of the settings file; empty for an empty path.
Result<std::string> read_settings_file(const std::string& path);

}  // namespace sluice::service
