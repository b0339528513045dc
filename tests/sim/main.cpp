#include "options.h"
#include "run.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <format>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

namespace {

using namespace sluice;

volatile std::sig_atomic_t g_is_stopping = 0;
volatile std::sig_atomic_t g_is_storm_due = 0;

bool take_storm() {
  const bool is_due = g_is_storm_due != 0;
  g_is_storm_due = 0;
  return is_due;
}

/// One line that is written over and over on a terminal; elsewhere a line now and then, which is
/// what a log wants.
class Status {
 public:
  void on_second(const sim::Moment& moment) {
    if (is_terminal_) {
      std::fprintf(stderr, "\r\x1b[K%s", moment.line().c_str());
    } else if (second_++ % kSecondsPerLine == 0) {
      std::fprintf(stderr, "%s\n", moment.line().c_str());
    }
    std::fflush(stderr);
  }
  void on_phase(std::string_view text) {
    std::fprintf(stderr, "%s%.*s\n", is_terminal_ ? "\r\x1b[K" : "", static_cast<int>(text.size()),
                 text.data());
  }

 private:
  static constexpr int kSecondsPerLine = 10;
  const bool is_terminal_ = isatty(STDERR_FILENO) == 1;
  int second_ = 0;
};

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail(ErrorCode::kNotFound, path + " cannot be read");
  return std::string(std::istreambuf_iterator<char>(file), {});
}

/// A file that a line is added to now and then; none where there is no name.
class Lines {
 public:
  explicit Lines(const std::string& path) {
    if (!path.empty()) file_.open(path);
  }
  void add(const std::string& line) {
    if (file_.is_open()) file_ << line << std::flush;
  }
  bool is_good() const { return file_.good(); }

 private:
  std::ofstream file_;
};

double seconds_since_epoch(const Clock& clock) {
  return std::chrono::duration<double>(clock.wall().time_since_epoch()).count();
}

Result<int> run(const sim::Options& options) {
  SLUICE_TRY_ASSIGN(const std::string text, read_file(options.devices));
  SLUICE_TRY_ASSIGN(const auto roster, sim::Roster::parse(text));
  const SystemClock clock;
  Status status;
  Lines moments(options.moments);
  Lines ledger(options.ledger);
  SLUICE_TRY_ASSIGN(
      const auto report,
      sim::run_fleet(
          options, roster, clock,
          {.is_stopping = [] { return g_is_stopping != 0; },
           .takes_storm = take_storm,
           .on_second =
               [&](const sim::Moment& moment) {
                 status.on_second(moment);
                 moments.add(moment.json(seconds_since_epoch(clock)) + "\n");
               },
           .on_phase = [&](std::string_view phase) { status.on_phase(phase); },
           .on_end =
               [&](const sim::Ledger& said) { ledger.add(sim::to_json_lines(said, roster)); }}));
  if (!moments.is_good() || !ledger.is_good()) {
    return fail(ErrorCode::kInvalidArgument, "--moments or --ledger cannot be written");
  }
  std::fputs(report.table().c_str(), stdout);
  if (options.report == "-") {
    std::puts(report.json().c_str());
  } else if (!options.report.empty()) {
    std::ofstream file(options.report);
    if (!(file << report.json() << '\n')) {
      return fail(ErrorCode::kInvalidArgument, options.report + " cannot be written");
    }
  }
  return report.exit_status();
}

}  // namespace

int main(int count, char** arguments) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets in a way that raises it
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { g_is_stopping = 1; });
  std::signal(SIGUSR1, [](int) { g_is_storm_due = 1; });
  const auto options =
      sim::parse_options(std::vector<std::string>(arguments + 1, arguments + count));
  if (options && options->is_help) {
    std::fputs(sim::help().c_str(), stdout);
    return 0;
  }
  const auto status = options ? run(*options) : Result<int>(fail(options.error()));
  if (status) return *status;
  std::fprintf(stderr, "sluice-sim: %s\n", status.error().message().c_str());
  return 3;
}
