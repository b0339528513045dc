#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::testing {

/// What became of a process: exited with a code, or was killed by a signal.
struct ExitStatus {
  std::optional<int> code{};
  std::optional<int> signal{};
  bool operator==(const ExitStatus&) const = default;
};

/// One program started by a test, with its output captured. Ends with the object (SIGKILL), and
/// with the test program even if that is killed; so start it from a thread that outlives it.
/// Thread-safe.
///
///   ChildProcess registry({.program = built_program("device-registry"),
///                          .environment = {{"SLUICE_POSTGRES_URL", url}}});
///   auto addresses = registry.wait_for_addresses();          // {"ops": "127.0.0.1:40123", …}
///   registry.signal(SIGTERM);
///   EXPECT_EQ(registry.wait(), ExitStatus{.code = 0}) << registry.output();
class ChildProcess {
 public:
  struct Options {
    std::filesystem::path program;
    std::vector<std::string> arguments{};
    /// Added to the test's own environment, winning over it.
    std::map<std::string, std::string> environment{};
    /// Sets SLUICE_ADDRESS_FILE to a file of the child's own, for wait_for_addresses().
    bool address_file = true;
  };

  /// Throws when the program cannot be started.
  explicit ChildProcess(Options options);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  int pid() const;
  bool is_running() const;
  /// Nothing happens when it has ended already.
  void signal(int number);
  /// SIGSTOP, and waits until it stands still: the signal alone returns while its threads still
  /// run. SIGCONT lets it go on.
  void freeze();

  /// Waits for its end; nullopt when the deadline passes first. Output is complete afterwards.
  std::optional<ExitStatus> wait(std::chrono::milliseconds deadline = std::chrono::seconds(30));
  /// SIGTERM, wait, then SIGKILL if that was not enough; tells which of the two it took.
  ExitStatus stop(std::chrono::milliseconds grace = std::chrono::seconds(30));

  /// Standard output and standard error so far, each at most kMaxOutputSize (older output is cut).
  std::string standard_output() const;
  std::string standard_error() const;
  /// Both, for the message of a failing assertion.
  std::string output() const;
  /// Waits until the text is in either; false when the deadline passes or the program ends without
  /// it.
  bool wait_for_output(std::string_view text,
                       std::chrono::milliseconds deadline = std::chrono::seconds(30)) const;

  /// Waits until the service has bound its listeners and written its address file, a JSON object of
  /// texts. Fails with the program's output in the message when it ends or the deadline passes
  /// first.
  Result<std::map<std::string, std::string>> wait_for_addresses(
      std::chrono::milliseconds deadline = std::chrono::seconds(30)) const;

  static constexpr std::size_t kMaxOutputSize = std::size_t{4} << 20;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Runs a program to its end (SIGKILL at the deadline): for --help, --check-config and the like.
struct ProgramResult {
  ExitStatus status;
  std::string standard_output;
  std::string standard_error;
};
ProgramResult run_program(ChildProcess::Options options,
                          std::chrono::milliseconds deadline = std::chrono::seconds(30));

}  // namespace sluice::testing
