#pragma once

#include <concepts>
#include <functional>
#include <string_view>
#include <type_traits>

#include <sluice/base/result.h>
#include <sluice/config/settings.h>
#include <sluice/service/runtime.h>

namespace sluice::service {

/// How a service's process ends.
enum ExitStatus : int {
  kExitOk = 0,             // told to end, and ended in good order
  kExitFailed = 1,         // the body or a component failed; the last log line says why
  kExitUsage = 2,          // wrong command line or settings, each fault on standard error
  kExitGraceExceeded = 3,  // did not end within `shutdown_grace`
  // 128 + the signal's number: a second SIGTERM or SIGINT while ending
};

/// A struct whose settings are declared once: see Settings.
template <typename T>
concept ServiceConfig = std::default_initializable<T> &&
                        requires(T& config, Settings& settings) { config.declare(settings); };

/// The part of run() that knows no template.
int run_with(std::string_view name, int argc, char** argv,
             const std::function<void(Settings&)>& declare,
             const std::function<Result<>(Runtime&)>& body);

/// main() of every service: reads the command line and settings, opens the ops port (probes,
/// metrics, settings), handles signals, calls `body`, and turns its outcome into an exit status.
///   int main(int argc, char** argv) {
///     return sluice::service::run<Config>("device-registry", argc, argv, body);
///   }
/// Call it first thing in main(), before any thread exists, so that every thread inherits its
/// signal mask.
template <ServiceConfig Config>
int run(std::string_view name, int argc, char** argv,
        const std::type_identity_t<std::function<Result<>(Runtime&, const Config&)>>& body) {
  Config config;
  return run_with(
      name, argc, argv, [&](Settings& settings) { config.declare(settings); },
      [&](Runtime& runtime) { return body(runtime, config); });
}

}  // namespace sluice::service
