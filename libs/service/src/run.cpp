#include <sluice/service/run.h>

#include "command_line.h"
#include "core.h"
#include "ops_server.h"
#include "service_settings.h"
#include "supervisor.h"

#include <cstdio>
#include <exception>
#include <filesystem>
#include <format>
#include <utility>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

#include <unistd.h>

namespace sluice::service {
namespace {

using Body = std::function<Result<>(Runtime&)>;

int print(std::string_view text) {
  const bool is_written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return is_written && std::fflush(stdout) == 0 ? kExitOk : kExitFailed;
}

int refuse(std::string_view service, const Error& error) {
  const std::string text = faults_text(service, error);
  std::fwrite(text.data(), 1, text.size(), stderr);
  return kExitUsage;
}

/// The body as it is, with what it throws as an error.
Result<> call(const Body& body, Runtime& runtime) {
  try {
    return body(runtime);
  } catch (const std::exception& e) {
    return fail(ErrorCode::kInternal, std::format("exception: {}", e.what()));
  }
}

/// From settings that are good to the end of the process' life.
Result<> serve(const std::string& name, const ServiceSettings& own, const Settings& settings,
               const Logger& log, const Clock& clock, const Body& body) {
  SystemRandom random;
  Registry registry;
  registry.add_process_metrics();
  registry
      .gauge("sluice_build_info", "1; what runs is in the labels.",
             {{"service", name}, {"version", std::string(version())}})
      .set(1);
  runtime_detail::Core core(name, own, clock, random, log, registry);
  SLUICE_TRY_ASSIGN(const auto supervisor, Supervisor::start(core));

  // Addresses of an earlier life would send readers to ports that are not ours any more.
  if (!own.address_file.empty()) {
    std::error_code ignored;
    std::filesystem::remove(own.address_file, ignored);
  }
  const OpsActions actions{.readiness = [&] { return core.readiness(); },
                           .is_started = [&] { return core.is_started(); },
                           .metrics = [&] { return core.scrape(); },
                           .config = [&] { return settings.print_json(); },
                           .drain =
                               [&] {
                                 log.info("drain_requested");
                                 core.ask_drain();
                               },
                           .find_page = [&](std::string_view path) { return core.find_page(path); },
                           .show_page = [&](const OpsPage& page) { return core.show(page); }};
  SLUICE_TRY_ASSIGN(
      const auto ops,
      OpsServer::start({.listen = own.ops_listen}, clock, registry, [&](const OpsRequest& request) {
        return answer(request, own.ops_token, actions);
      }));
  core.set_address("ops", ops->address());
  log.info("service_starting", {{"version", version()}, {"ops", ops->address()}});

  Runtime runtime(core);
  Result<> result = call(body, runtime);
  // A body that looked away from wait()'s error has failed all the same.
  if (result && core.failure()) return fail(*core.failure());
  return result;
}

int serve_to_the_end(const std::string& name, const ServiceSettings& own, const Settings& settings,
                     const Body& body) {
  const SystemClock clock;
  const Logger log(name, parse_log_level(own.log_level).value_or(LogLevel::kInfo), clock,
                   make_fd_log_sink(STDOUT_FILENO));
  const Result<> result = serve(name, own, settings, log, clock, body);
  limit_last_words(result ? kExitOk : kExitFailed);  // the supervisor is gone
  if (!result) {
    log.error("service_failed", result.error(), {{"exit_status", int{kExitFailed}}});
  } else {
    log.info("service_ended", {{"exit_status", int{kExitOk}}});
  }
  alarm(0);
  return result ? kExitOk : kExitFailed;
}

}  // namespace

int run_with(std::string_view name, int argc, char** argv,
             const std::function<void(Settings&)>& declare, const Body& body) {
  using enum CommandLine::Action;
  const auto line =
      CommandLine::parse(std::span<char* const>(argv, static_cast<std::size_t>(argc)).subspan(1));
  if (!line) return refuse(name, line.error());

  ServiceSettings own;
  Settings settings;
  own.declare(settings);
  declare(settings);
  switch (line->action) {
    case kHelp:
      return print(help_text(name, settings));
    case kVersion:
      return print(std::format("{} {}\n", name, version()));
    case kPrintSettings:
      return print(settings.list_json());
    case kPrintSchema:
      return print(settings.json_schema());
    case kPrintMarkdown:
      return print(settings.markdown());
    default:
      break;
  }

  const auto content = read_settings_file(line->config_file);
  if (!content) return refuse(name, content.error());
  if (const auto loaded = settings.load(*content, process_environment()); !loaded) {
    return refuse(name, loaded.error());
  }
  if (line->action == kCheckConfig) return print(std::format("{}: the settings are good\n", name));
  if (line->action == kPrintConfig) return print(settings.print());

  block_signals();
  return serve_to_the_end(std::string(name), own, settings, body);
}

}  // namespace sluice::service
