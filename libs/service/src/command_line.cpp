#include "command_line.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <format>
#include <fstream>
#include <optional>

namespace sluice::service {
namespace {

struct Option {
  std::string_view name;
  CommandLine::Action action;
  std::string_view help;
};

using enum CommandLine::Action;
constexpr std::array<Option, 7> kOptions = {{
    {"--help", kHelp, "This text."},
    {"--version", kVersion, "Name and version."},
    {"--check-config", kCheckConfig, "Reads all settings; exit status 0, or 2 with every fault."},
    {"--print-config", kPrintConfig, "The settings as read, as YAML with where each comes from."},
    {"--print-settings", kPrintSettings, "All settings there are, as a JSON list."},
    {"--print-schema", kPrintSchema, "A JSON schema of the settings file."},
    {"--print-markdown", kPrintMarkdown, "The table of settings for the README."},
}};

std::optional<CommandLine::Action> find_action(std::string_view argument) {
  for (const Option& option : kOptions) {
    if (option.name == argument) return option.action;
  }
  return std::nullopt;
}

}  // namespace

std::string_view version() { return SLUICE_VERSION; }

Result<CommandLine> CommandLine::parse(std::span<char* const> arguments) {
  auto refuse = [](std::string message) {
    return fail(ErrorCode::kInvalidArgument, message + "; --help lists what there is");
  };
  CommandLine line;
  bool has_config = false;
  constexpr std::string_view kConfig = "--config";
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == kConfig || argument.starts_with("--config=")) {
      if (has_config) return refuse("--config is there twice");
      has_config = true;
      const bool is_joined = argument != kConfig;
      if (!is_joined && ++i == arguments.size()) return refuse("--config needs a file");
      line.config_file = is_joined ? argument.substr(kConfig.size() + 1) : arguments[i];
      if (line.config_file.empty()) return refuse("--config needs a file");
    } else if (const auto action = find_action(argument)) {
      if (line.action != kServe) return refuse("more than one thing to do");
      line.action = *action;
    } else {
      return refuse(std::format("unknown argument {}", argument));
    }
  }
  return line;
}

std::string help_text(std::string_view service, const Settings& settings) {
  std::string out = std::format("Usage: {} [--config FILE] [OPTION]\n\n", service);
  out += std::format("  {:<18}Settings as YAML, one `name: value` a line.\n", "--config FILE");
  for (const Option& option : kOptions)
    out += std::format("  {:<18}{}\n", option.name, option.help);
  out +=
      "\nSettings come from their default, then the file, then the environment, where "
      "shutdown_grace is\n"
      "SLUICE_SHUTDOWN_GRACE; the last one wins. A *_file setting names a file with a secret in "
      "it.\n\n"
      "Exit status: 0 ended when told to, 1 failed, 2 wrong arguments or settings, 3 did not end "
      "within\n"
      "shutdown_grace, 128 + N second signal N while ending.\n\nSettings:\n";
  return out + settings.help();
}

std::string faults_text(std::string_view service, const Error& error) {
  std::string out = std::format("{}: {}\n", service, error.message());
  for (const FieldFault& fault : error.faults()) {
    out += fault.field.empty() ? std::format("  {}\n", fault.message)
                               : std::format("  {}: {}\n", fault.field, fault.message);
  }
  return out;
}

Result<std::string> read_settings_file(const std::string& path) {
  if (path.empty()) return std::string();
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::kInvalidArgument,
                std::format("the settings file {} cannot be read: {}", path, why));
  };
  std::ifstream file(path, std::ios::binary);
  if (!file) return refuse(std::strerror(errno));
  // One byte past the limit is enough for Settings::load() to say that it is too much.
  std::string content(kMaxSettingsFileSize + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<std::size_t>(file.gcount()));
  if (!file && !file.eof()) return refuse(std::strerror(errno));
  return content;
}

}  // namespace sluice::service
